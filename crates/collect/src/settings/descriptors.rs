//! How much may be under way at once, where a process may have only so many files and sockets open?

use crate::{ClientSettings, FetchSettings};

/// What else is open: the catalogue's files or connections, the terminal, a model, the providers' connections.
const OTHERS: u64 = 64;

/// A fetch under way has a connection and, at its end, a file; while it connects, perhaps two connections.
const PER_FETCH: u64 = 2;

impl FetchSettings {
    /// Lowers what would not fit into `limit` open files and sockets: how many fetches run at once, and how many idle
    /// connections `client` keeps. Whoever runs out of them fails at whatever comes next, be it the catalogue.
    ///
    /// Says how many fetches were asked for, if that had to be lowered.
    pub fn fit_descriptors(&mut self, client: &mut ClientSettings, limit: u64) -> Option<u32> {
        let room = limit.saturating_sub(OTHERS);
        let asked = self.concurrency;
        // A third is for idle connections, without which each picture would need one of its own.
        let most = u32::try_from(room / (PER_FETCH + 1)).unwrap_or(u32::MAX).max(1);
        self.concurrency = asked.min(most);
        let idle = room.saturating_sub(u64::from(self.concurrency) * PER_FETCH).max(1);
        let idle = usize::try_from(idle).unwrap_or(usize::MAX);
        client.max_idle_per_host = client.max_idle_per_host.min(idle);
        client.max_idle_sites = client.max_idle_sites.min(idle / client.max_idle_per_host.max(1));
        (self.concurrency < asked).then_some(asked)
    }
}

#[cfg(test)]
mod tests {
    use crate::CollectSettings;

    /// Concurrency, idle connections, and whether the first had to be lowered.
    fn fitted(settings: &str, limit: u64) -> (u32, usize, bool) {
        let text = format!("contact = \"lab@example.org\"\n[fetch]\n{settings}");
        let mut settings = CollectSettings::parse("collect.toml".as_ref(), &text).unwrap();
        let mut client = settings.client().unwrap();
        let is_lowered = settings.fetch.fit_descriptors(&mut client, limit).is_some();
        (settings.fetch.concurrency, client.max_idle_sites * client.max_idle_per_host, is_lowered)
    }

    #[test]
    fn whatever_is_set_fits_and_what_fits_stays_as_it_is() {
        assert_eq!(fitted("", 1_024), (64, 512, false));
        assert_eq!(fitted("", 256), (64, 64, false));
        assert_eq!(fitted("concurrency = 2000", 65_536), (2_000, 16_000, false));
        assert!(fitted("concurrency = 2000", 1_024).2);
        for (settings, limit) in [
            ("concurrency = 2000", 1_024),
            ("concurrency = 4096\nper_host = 64", 4_096),
            ("per_host = 64", 256),
            ("", 70),
        ] {
            let (concurrency, idle, _) = fitted(settings, limit);
            assert!(concurrency >= 1 && idle >= 1);
            assert!(u64::from(concurrency) * 2 + idle as u64 + 64 <= limit, "{settings}: {concurrency}, {idle}");
        }
    }
}
