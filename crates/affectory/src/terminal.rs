//! What does the user see while a stage runs? A bar on a terminal, a line now and then in a log.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use affectory_core::{Progress, Stop, WAY};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// Logs go to stderr; `-v` shows more, `AFFECTORY_LOG` decides in detail. The way of images goes to its listener alone.
pub fn start_logging<L: Layer<Registry> + Send + Sync + 'static>(verbose: u8, way: Option<L>) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = crate::environment::variable("AFFECTORY_LOG").unwrap_or_else(|| level.to_owned());
    let filter = EnvFilter::new(format!("{filter},{WAY}=off"));
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // For whoever gathers the logs of many processes.
    let lines = match crate::environment::variable("AFFECTORY_LOG_FORMAT").as_deref() {
        Some("json") => lines.json().boxed(),
        _ => lines.with_target(false).boxed(),
    };
    let is_way = filter_fn(|metadata| metadata.target() == WAY).with_max_level_hint(LevelFilter::INFO);
    let way = way.map(|way| way.with_filter(is_way));
    tracing_subscriber::registry().with(way).with(lines.with_filter(filter)).init();
}

/// Keeps off the terminal that a decoder broke down over a picture: that costs the picture, whose error says so.
pub fn keep_quiet_over_pictures() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !affectory_imaging::is_guarded() {
            tell(panic);
        }
    }));
}

/// A bar on a terminal; elsewhere a line when a piece of work begins and every half minute after.
#[derive(Clone, Default)]
pub struct Bars {
    screen: MultiProgress,
    current: Arc<Mutex<Option<Current>>>,
}

struct Current {
    what: String,
    bar: ProgressBar,
    total: Option<u64>,
    done: u64,
    note: String,
    began: Instant,
    last_line: Instant,
}

impl Bars {
    /// Another bar on the same screen, for a stage that runs at the same time.
    pub fn beside(&self) -> Bars {
        Bars { screen: self.screen.clone(), current: Arc::default() }
    }

    fn with(&self, act: impl FnOnce(&mut Option<Current>)) {
        // A poisoned lock only means another thread panicked while drawing.
        act(&mut self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl Progress for Bars {
    fn begin(&self, what: &str, total: Option<u64>) {
        let is_terminal = std::io::stderr().is_terminal();
        let bar =
            if is_terminal { self.screen.add(ProgressBar::new(total.unwrap_or(0))) } else { ProgressBar::hidden() };
        let template = if total.is_some() {
            "{prefix:22} [{bar:32}] {pos}/{len}  {per_sec}  ETA {eta}  {msg}"
        } else {
            "{prefix:22} {spinner} {pos}  {per_sec}  {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what.to_owned());
        let now = Instant::now();
        self.with(|current| {
            *current = Some(Current {
                what: what.to_owned(),
                bar,
                total,
                done: 0,
                note: String::new(),
                began: now,
                last_line: now,
            });
        });
    }

    fn advance(&self, n: u64) {
        self.with(|current| {
            let Some(current) = current else { return };
            current.done += n;
            current.bar.inc(n);
            if current.bar.is_hidden() && current.last_line.elapsed() > Duration::from_secs(30) {
                current.last_line = Instant::now();
                current.line();
            }
        });
    }

    fn note(&self, text: &str) {
        self.with(|current| {
            if let Some(current) = current {
                current.bar.set_message(text.to_owned());
                text.clone_into(&mut current.note);
            }
        });
    }

    fn end(&self) {
        self.with(|current| {
            let Some(current) = current.take() else { return };
            current.bar.finish_and_clear();
            // What took less than a second needs no trace.
            if current.began.elapsed() > Duration::from_secs(1) {
                current.line();
            }
        });
    }
}

impl Current {
    fn line(&self) {
        let seconds = self.began.elapsed().as_secs_f64();
        let total = self.total.map(|t| format!("/{t}")).unwrap_or_default();
        let rate = self.done as f64 / seconds.max(1e-3);
        eprintln!("{:22} {}{total} in {seconds:.0} s, {rate:.0}/s  {}", self.what, self.done, self.note);
    }
}

/// Ctrl-C and SIGTERM ask the stage to finish the item in hand; a second one ends at once.
pub fn stop_on_signals() -> Stop {
    let stop = Stop::default();
    let asked = stop.clone();
    tokio::spawn(async move {
        for round in 0.. {
            wait_for_signal().await;
            if round > 0 {
                std::process::exit(130);
            }
            eprintln!("stopping after the item in hand; the same command goes on later (again to stop at once)");
            asked.request();
        }
    });
    stop
}

async fn wait_for_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut term) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
