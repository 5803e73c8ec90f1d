//! How are the figures of all annotations kept a few seconds old, at most, while nobody waits for them?

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use affectory_annotate::{Figures, RatingLog, figures};
use affectory_core::AnnotationId;

use crate::app::App;

/// Figures are not computed more often than this.
const PAUSE: Duration = Duration::from_secs(2);

/// Nor do they take more than this share of a core: after work of one second comes a rest of so many.
const REST: u32 = 4;

/// The last figures, and the log they come from.
#[derive(Default)]
pub(crate) struct Watch {
    kept: Mutex<Kept>,
    is_busy: AtomicBool,
}

#[derive(Default)]
struct Kept {
    log: RatingLog,
    figures: Option<Arc<Watched>>,
    next: Option<Instant>,
}

/// Figures and when they were right.
pub(crate) struct Watched {
    pub(crate) figures: Figures,
    pub(crate) computed_ms: i64,
}

impl App {
    /// The last figures; where they may be old, new ones are computed for whoever asks next. None at first.
    pub(crate) fn figures(self: &Arc<Self>) -> Option<Arc<Watched>> {
        let kept = self.watch.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = kept.next.is_none_or(|next| Instant::now() >= next);
        if is_due && !self.watch.is_busy.swap(true, Ordering::AcqRel) {
            tokio::spawn(refresh(Arc::clone(self)));
        }
        kept.figures.clone()
    }
}

async fn refresh(app: Arc<App>) {
    let began = Instant::now();
    let mut log = std::mem::take(&mut app.watch.kept.lock().unwrap_or_else(PoisonError::into_inner).log);
    let outcome = log.refresh(&app.project.catalog).await;
    if let Err(error) = &outcome {
        tracing::error!(%error, "the log of annotations could not be read");
    }
    let known = app.watch.kept.lock().unwrap_or_else(PoisonError::into_inner).figures.clone();
    let is_new = known.as_ref().is_none_or(|known| known.figures.last != log.last()) && outcome.is_ok();
    let computed = tokio::task::spawn_blocking(move || {
        let figures = is_new.then(|| figures(&log));
        (log, figures)
    })
    .await;
    let mut kept = app.watch.kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok((log, figures)) = computed {
        kept.log = log;
        if let Some(figures) = figures {
            kept.figures = Some(Arc::new(Watched { figures, computed_ms: app.now_ms() }));
        }
    }
    kept.next = Some(Instant::now() + PAUSE.max(began.elapsed() * REST));
    drop(kept);
    app.watch.is_busy.store(false, Ordering::Release);
}

impl Watched {
    /// Whether these figures know a row.
    pub(crate) fn knows(&self, row: AnnotationId) -> bool {
        self.figures.last >= row
    }
}
