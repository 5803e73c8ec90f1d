//! What does the portal do by itself, beside answering requests? It posts letters, reminds of what waits, and prepares
//! what is delivered.

use std::sync::Arc;
use std::time::Duration;

use affectory_catalog::RequestState;
use affectory_portal::delivery::{bring_up_to_date, take_back_ended};

use crate::app::{App, Portal};
use crate::failure::{WebError, causes};

/// Letters are looked for this often.
const EVERY: Duration = Duration::from_secs(2);

/// Reminders are looked for every so many rounds.
const REMIND_EVERY: u32 = 300;

/// What is delivered, and what no longer, is looked after every so many rounds.
const PREPARE_EVERY: u32 = 3;

/// So long after its link has ended a request that nobody confirmed is forgotten, ms.
const UNCONFIRMED_MS: i64 = 7 * DAY_MS;

const DAY_MS: i64 = 86_400_000;

/// Goes on until it is aborted.
pub(crate) async fn keep_posting(app: Arc<App>) {
    let Some(portal) = &app.options.portal else { return };
    // A large package takes hours; letters and the end of an access do not wait for it.
    tokio::join!(post(&app, portal), prepare(&app, portal));
}

async fn prepare(app: &App, portal: &Portal) {
    loop {
        if let Err(error) = bring_up_to_date(&app.project, &portal.settings, || app.now_ms()).await {
            tracing::error!(causes = causes(&error), "deliveries could not be prepared");
        }
        tokio::time::sleep(EVERY * PREPARE_EVERY).await;
    }
}

async fn post(app: &App, portal: &Portal) {
    for round in 0_u32.. {
        if round.is_multiple_of(REMIND_EVERY)
            && let Err(error) = remind(app).await
        {
            tracing::error!(causes = causes(&error), "nobody could be reminded");
        }
        if let Some(mailer) = &portal.mailer
            && let Err(error) = mailer.send_due(&app.project.catalog, || app.now_ms()).await
        {
            tracing::error!(causes = causes(&error), "letters could not be sent");
        }
        if round.is_multiple_of(PREPARE_EVERY)
            && let Err(error) = take_back_ended(&app.project, &portal.settings, || app.now_ms()).await
        {
            tracing::error!(causes = causes(&error), "archives could not be taken back");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Reminds the lab of requests that wait for it, and people of agreements that wait to be signed.
pub(crate) async fn remind(app: &App) -> Result<(), WebError> {
    let portal = app.portal()?;
    let (letters, now_ms) = (portal.letters(), app.now_ms());
    let before_ms = now_ms - i64::from(portal.settings.access.remind_days.max(1)) * DAY_MS;
    let catalog = &app.project.catalog;
    catalog
        .remind(
            RequestState::Submitted,
            before_ms,
            |request| {
                let since_ms = request.submitted_ms.unwrap_or(request.created_ms);
                let applicant = &request.applicant;
                let n_days = (now_ms - since_ms) / DAY_MS;
                vec![letters.waiting(request.id.0, &applicant.name, &applicant.institution, n_days)]
            },
            now_ms,
        )
        .await?;
    let unsigned = |request: &affectory_catalog::RequestRow| {
        vec![letters.unsigned(&request.applicant.email, &request.applicant.name)]
    };
    catalog.remind(RequestState::Agreement, before_ms, unsigned, now_ms).await?;
    catalog.forget_unconfirmed(now_ms - UNCONFIRMED_MS).await?;
    Ok(())
}
