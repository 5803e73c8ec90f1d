//! What did the server log while a story was told?
//!
//! All stories of this process share one subscriber. With one of each story's own, an event that another story comes by
//! first, while nobody listens there, is switched off for all of them: `tracing` remembers once for every place in the
//! code whether anybody wants to hear of it.

use std::cell::RefCell;
use std::io::{Result, Write};
use std::sync::{Arc, Mutex, Once};

use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

thread_local! {
    static HERE: RefCell<Option<Said>> = const { RefCell::new(None) };
}

/// Log lines of one story.
#[derive(Clone, Default)]
pub(super) struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    /// Keeps what this thread, on which the story has its server too, logs at any level from now on.
    pub(super) fn listen() -> Said {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let lines = tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(|| HERE.with_borrow(|said| said.clone().unwrap_or_default()));
            let somebody_listens = dynamic_filter_fn(|_, _| HERE.with_borrow(Option::is_some));
            tracing_subscriber::registry().with(lines.with_filter(somebody_listens)).init();
        });
        let said = Said::default();
        HERE.set(Some(said.clone()));
        said
    }

    /// All lines so far.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
