//! How do letters leave? Oldest first, each until the server has taken it.

use std::time::Duration;

use affectory_catalog::{Catalog, NewLetter};
use lettre::message::{Mailbox, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::PortalError;
use crate::settings::{MailSecurity, MailSettings};

/// How long the server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Letters a round.
const AT_ONCE: u32 = 20;

/// So long a letter is one server's to send, ms: others look at it again only if that one was killed.
const LEASE_MS: i64 = 5 * 60_000;

/// A letter that failed is tried again after 1, 2, 4, ... minutes, at most six hours apart, and given up after this many.
const ATTEMPTS: u64 = 24;

/// The way to a mail server.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// The server of the settings; `None` where there is none and letters are kept.
    ///
    /// # Errors
    /// [`PortalError::Mail`] where an address or a name in the settings is none.
    pub fn new(settings: &MailSettings, password: Option<&str>) -> Result<Option<Mailer>, PortalError> {
        if settings.server.is_empty() {
            return Ok(None);
        }
        let failed = |what: &str, error: &dyn std::fmt::Display| PortalError::Mail(format!("[mail] {what}: {error}"));
        let from = settings.from.parse().map_err(|error| failed("from", &error))?;
        let (host, port) = match settings.server.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().map_err(|error| failed("server", &error))?)),
            None => (settings.server.as_str(), None),
        };
        let (default, tls) = match settings.security {
            MailSecurity::None => (25, Tls::None),
            security => {
                let parameters = TlsParameters::new(host.to_owned()).map_err(|error| failed("server", &error))?;
                if security == MailSecurity::Tls {
                    (465, Tls::Wrapper(parameters))
                } else {
                    (587, Tls::Required(parameters))
                }
            }
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port.unwrap_or(default))
            .tls(tls)
            .timeout(Some(PATIENCE));
        if !settings.user.is_empty() {
            builder =
                builder.credentials(Credentials::new(settings.user.clone(), password.unwrap_or_default().to_owned()));
        }
        Ok(Some(Mailer { transport: builder.build(), from }))
    }

    async fn send(&self, letter: &NewLetter) -> Result<(), String> {
        let to: Mailbox = letter.recipient.parse().map_err(|error| format!("the address: {error}"))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject.clone())
            .header(header::ContentType::TEXT_PLAIN)
            .body(letter.body.clone())
            .map_err(|error| error.to_string())?;
        self.transport.send(message).await.map(drop).map_err(|error| {
            // Its own words do not say why.
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(next) = cause {
                text = format!("{text}: {next}");
                cause = next.source();
            }
            text
        })
    }

    /// Sends what is due and what no other server is sending; says how many went out and how many did not.
    ///
    /// A letter is marked as sent after the server took it: killed in between, it goes out twice, and never not at all.
    ///
    /// # Errors
    /// What the catalogue refuses.
    pub async fn send_due(
        &self,
        catalog: &Catalog,
        now_ms: impl Fn() -> i64 + Send,
    ) -> Result<(u32, u32), PortalError> {
        let (mut n_sent, mut n_failed) = (0, 0);
        for _ in 0..AT_ONCE {
            let claimed_ms = now_ms();
            let Some(row) = catalog.claim_letter(claimed_ms, claimed_ms + LEASE_MS).await? else { break };
            match self.send(&row.letter).await {
                Ok(()) => {
                    catalog.letter_sent(row.id, now_ms()).await?;
                    n_sent += 1;
                }
                Err(reason) => {
                    let minutes = 1_i64 << row.n_attempts.min(8);
                    let again = (row.n_attempts + 1 < ATTEMPTS).then(|| now_ms() + minutes.min(360) * 60_000);
                    tracing::warn!(letter = row.id, %reason, "a letter was not sent");
                    catalog.letter_failed(row.id, &reason, again).await?;
                    n_failed += 1;
                }
            }
        }
        Ok((n_sent, n_failed))
    }
}
