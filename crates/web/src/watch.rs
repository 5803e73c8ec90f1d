//! How are the figures of all annotations kept a few seconds old, at most, while nobody waits for them?

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use affectory_annotate::{Figures, RatingLog, doubtful_faces, figures};
use affectory_catalog::Gold;
use affectory_core::{Expression, FaceId};
use affectory_evaluate::SecondLook;
use tokio::sync::oneshot;

use crate::app::App;

/// Figures are not computed more often than this.
const PAUSE: Duration = Duration::from_secs(2);

/// After work of one second comes a rest of so many. The work is done in what time others leave.
const REST: u32 = 1;

/// Rest after every few thousand rows that are read, some 30 ms of work: at a start the log has a million, and a hundred
/// annotators come back at the same time.
const BREATH: Duration = Duration::from_millis(30);

/// Doubtful faces kept.
const DOUBTS: usize = 1_000;

/// How sure a model must be to be heard against annotators (as `SecondLookOptions` has it).
const SURE: f32 = 0.9;

/// The last figures, and the log they come from.
pub(crate) struct Watch {
    /// One thread, which yields to every other.
    computing: rayon::ThreadPool,
    kept: Mutex<Kept>,
    is_busy: AtomicBool,
    /// Whether anybody has asked for doubtful faces: nobody else pays for them.
    wants_doubts: AtomicBool,
}

#[derive(Default)]
struct Kept {
    log: RatingLog,
    figures: Option<Arc<Watched>>,
    doubts: Option<Vec<SecondLook>>,
    next: Option<Instant>,
}

/// Figures and when they were right.
pub(crate) struct Watched {
    pub(crate) figures: Figures,
    pub(crate) computed_ms: i64,
}

impl Watch {
    /// Nothing is known yet.
    pub(crate) fn new() -> Result<Watch, rayon::ThreadPoolBuildError> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(1).thread_name(|_| "figures".into());
        // Whoever waits for figures that panicked is told so by the channel; the old figures stay.
        let threads = threads.start_handler(|_| step_back()).panic_handler(|_| ());
        Ok(Watch {
            computing: threads.build()?,
            kept: Mutex::default(),
            is_busy: AtomicBool::default(),
            wants_doubts: AtomicBool::default(),
        })
    }
}

/// Annotators wait for milliseconds, and the figures for seconds: their thread gets what is left of the processors.
fn step_back() {
    // Only Linux has this for one thread, and a server works without it.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 19);
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

    /// The most doubtful faces; none at first, when they are being looked for.
    pub(crate) fn doubts(self: &Arc<Self>) -> Option<Vec<SecondLook>> {
        self.watch.wants_doubts.store(true, Ordering::Release);
        self.figures();
        self.watch.kept.lock().unwrap_or_else(PoisonError::into_inner).doubts.clone()
    }

    /// A face is no longer doubtful; the list knows at once, before it is made anew.
    pub(crate) fn settled(&self, face: FaceId) {
        let mut kept = self.watch.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(doubts) = &mut kept.doubts {
            doubts.retain(|doubt| doubt.face != face.0);
        }
    }
}

async fn refresh(app: Arc<App>) {
    let began = Instant::now();
    let mut log = std::mem::take(&mut app.watch.kept.lock().unwrap_or_else(PoisonError::into_inner).log);
    let read = read(&app, &mut log).await;
    let (known, has_doubts) = {
        let kept = app.watch.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.figures.as_ref().map(|known| known.figures.last), kept.doubts.is_some())
    };
    let wants_doubts = app.watch.wants_doubts.load(Ordering::Acquire);
    let (done, computed) = oneshot::channel();
    app.watch.computing.spawn(move || {
        let (figures, doubts) = match &read {
            Ok((gold, sure)) => {
                let is_new = known != Some(log.last());
                let figures = is_new.then(|| figures(&log, gold));
                let wants_doubts = wants_doubts && (is_new || !has_doubts);
                (figures, wants_doubts.then(|| doubtful_faces(&log, sure, DOUBTS)))
            }
            Err(()) => (None, None),
        };
        // Only a server that is going down does not wait.
        let _ = done.send((log, figures, doubts));
    });
    let computed = computed.await;
    let mut kept = app.watch.kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok((log, figures, doubts)) = computed {
        kept.log = log;
        if let Some(figures) = figures {
            kept.figures = Some(Arc::new(Watched { figures, computed_ms: app.now_ms() }));
        }
        kept.doubts = doubts.or(kept.doubts.take());
    }
    kept.next = Some(Instant::now() + PAUSE.max(began.elapsed() * REST));
    drop(kept);
    app.watch.is_busy.store(false, Ordering::Release);
}

type ReadBeside = (Vec<Gold>, Vec<(FaceId, Expression, f32)>);

/// Brings the log up to date and reads what it is held against. A failure is logged; the old figures stay.
async fn read(app: &App, log: &mut RatingLog) -> Result<ReadBeside, ()> {
    let catalog = &app.project.catalog;
    let outcome = async {
        log.refresh_gently(catalog, BREATH).await?;
        let gold = catalog.list_gold().await?.into_iter().map(|(_, gold)| gold).collect();
        let sure = match app.watch.wants_doubts.load(Ordering::Acquire) {
            true => catalog.list_sure_categories(SURE).await?,
            false => Vec::new(),
        };
        Ok::<ReadBeside, affectory_annotate::AnnotateError>((gold, sure))
    };
    outcome.await.map_err(|error| tracing::error!(%error, "the log of annotations could not be read"))
}
