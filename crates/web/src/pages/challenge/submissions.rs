//! What happens to a file that is handed in, before anybody who knows a label looks at it?

use std::sync::Arc;

use affectory_catalog::{ChallengeRow, ChallengeTask, NewSubmission, Phase, SubmissionOutcome};
use affectory_core::{LabelSet, SubmissionId};
use affectory_portal::challenge::{Asked, check_submission, quoted, read_inputs};
use axum::extract::{Path, State};
use axum::response::{Redirect, Response};
use bytes::Bytes;

use super::{attachment, find};
use crate::access::Visitor;
use crate::app::App;
use crate::failure::WebError;
use crate::uploads::Upload;

/// The images to be answered.
pub(crate) async fn inputs(
    State(app): State<Arc<App>>,
    _visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, WebError> {
    let challenge = find(&app, &name).await?;
    let names = read_inputs(&app.project, &challenge)?;
    let mut text = String::from("image\n");
    for name in names {
        // As CSV quotes: names are without line ends.
        let is_plain = !name.contains(['"', ',']);
        text += &if is_plain { format!("{name}\n") } else { format!("\"{}\"\n", name.replace('"', "\"\"")) };
    }
    Ok(attachment("text/csv; charset=utf-8", &format!("{name}-inputs.csv"), text))
}

/// Looks a file through; keeps and queues it where it is valid, and tells what is wrong with it where it is not.
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path(name): Path<String>,
    upload: Upload,
) -> Result<Redirect, WebError> {
    let challenge = find(&app, &name).await?;
    refuse_early(&app, &visitor, &challenge).await?;
    let file_name = quoted(&upload.file_name);
    let size_bytes = upload.bytes.len() as u64;
    let (checked, bytes) = check(&app, challenge.clone(), upload.bytes).await?;
    let (sha256, problems) = match checked {
        Ok(_) => {
            let sha256 = app.project.store.put(bytes).await?;
            app.project.store.flush().await?;
            (Some(sha256), Vec::new())
        }
        Err(problems) => (None, problems),
    };
    let new = NewSubmission {
        challenge_id: challenge.id,
        account_id: visitor.account.id,
        sha256: sha256.as_ref(),
        file_name: file_name.trim_matches('`'),
        size_bytes,
        problems: &problems,
    };
    match app.project.catalog.submit(&new, &visitor.account, app.now_ms()).await? {
        SubmissionOutcome::Recorded(_) => Ok(Redirect::to(&format!("/challenges/{name}/team"))),
        refused => Err(WebError::Invalid(told(refused).into())),
    }
}

/// Before a file is read: what the transaction that writes it down would refuse anyway.
async fn refuse_early(app: &App, visitor: &Visitor, challenge: &ChallengeRow) -> Result<(), WebError> {
    let catalog = &app.project.catalog;
    let Some(team) = catalog.find_team_of(challenge.id, visitor.account.id).await? else {
        return Err(WebError::Invalid(told(SubmissionOutcome::NoTeam).into()));
    };
    if !matches!(challenge.phase(app.now_ms()), Phase::Development | Phase::Final) {
        return Err(WebError::Invalid(told(SubmissionOutcome::NotOpen).into()));
    }
    if catalog.count_submissions_of_day(team.id, app.now_ms()).await? >= u64::from(challenge.challenge.per_day) {
        return Err(WebError::Invalid(told(SubmissionOutcome::QuotaUsed).into()));
    }
    Ok(())
}

fn told(outcome: SubmissionOutcome) -> &'static str {
    match outcome {
        SubmissionOutcome::Recorded(_) => "it is recorded",
        SubmissionOutcome::NoTeam => "you are in no team of this challenge",
        SubmissionOutcome::NotOpen => "the challenge takes no submissions now",
        SubmissionOutcome::QuotaUsed => {
            "your team has made all its submissions of today; the next day begins at 0:00 UTC"
        }
        SubmissionOutcome::TooManyRefused => {
            "too many of your files were refused today; the next day begins at 0:00 UTC"
        }
    }
}

type Checked = (Result<Vec<ChallengeTask>, Vec<String>>, Bytes);

/// On a thread of its own: 64 MiB take a second.
async fn check(app: &Arc<App>, challenge: ChallengeRow, bytes: Bytes) -> Result<Checked, WebError> {
    let project = app.project.clone();
    let work = move || -> Result<Checked, WebError> {
        let inputs = read_inputs(&project, &challenge)?;
        let labels = LabelSet::parse(&challenge.challenge.labels);
        let labels = labels.map_err(|error| WebError::Failed(Arc::new(error)))?;
        let tasks: Vec<ChallengeTask> = challenge.challenge.metrics.iter().map(|metric| metric.task()).collect();
        let checked = check_submission(&bytes, &Asked { inputs: &inputs, labels: &labels, tasks: &tasks });
        Ok((checked, bytes))
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| WebError::Failed(Arc::new(error)))?
}

/// Takes a submission back.
pub(crate) async fn withdraw(
    State(app): State<Arc<App>>,
    visitor: Visitor,
    Path((name, submission)): Path<(String, i64)>,
) -> Result<Redirect, WebError> {
    let catalog = &app.project.catalog;
    if catalog.withdraw_submission(SubmissionId(submission), &visitor.account, app.now_ms()).await? {
        return Ok(Redirect::to(&format!("/challenges/{name}/team")));
    }
    Err(WebError::NotFound("a submission of yours with that number, in a challenge that is not closed,"))
}
