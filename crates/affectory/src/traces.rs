//! How is the way of one image told to a collector of OpenTelemetry traces, at nobody's expense?
//!
//! Stages say in events of [`affectory_core::WAY`] what they did to an image; here each becomes a span. Nothing travels
//! along with the work: the ids of a trace and of its root follow from the image's hash. So every process knows them, all of
//! them choose the same images, and whoever has an image finds its trace. What the collector does not take in time is
//! counted and forgotten.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use affectory_core::Sha256Hex;
use anyhow::{Context as _, bail};
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample as _, SpanData, SpanExporter as _,
    SpanLinks,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer};

use crate::environment;

/// Spans that wait to be sent, at most; what comes beyond is lost.
const MOST_WAITING: usize = 8_192;

/// Spans of one request.
const BATCH: usize = 512;

/// A span waits no longer than this for others, as far as the collector keeps up.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the collector may take for a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the end of a command waits for the collector.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Losses are said no more often than this.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Longest text of an attribute, characters.
const LONGEST: usize = 200;

/// The sending side, until a command begins.
pub struct Traces {
    exporter: SpanExporter,
    spans: mpsc::Receiver<SpanData>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    /// Spans that there were.
    said: AtomicU64,
    /// Of these, the collector has so many.
    told: AtomicU64,
    /// Of these, so many never will be: the queue was full, or the collector did not take them.
    lost: AtomicU64,
}

/// What the environment asks for, by OpenTelemetry's own variables. `None`: nothing is told to anybody.
///
/// # Errors
/// If a variable makes no sense.
pub fn from_environment() -> anyhow::Result<Option<(Traces, Way)>> {
    let Some((endpoint, sampler)) = settings(environment::variable)? else { return Ok(None) };
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .build()?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint);
    let mut exporter = exporter.build().context("failed to set up traces")?;
    exporter.set_resource(&resource());
    let (sender, spans) = mpsc::channel(MOST_WAITING);
    let counts = Arc::<Counts>::default();
    let scope = InstrumentationScope::builder("affectory").with_version(env!("CARGO_PKG_VERSION")).build();
    let way = Way { sampler, scope, sender, counts: Arc::clone(&counts) };
    Ok(Some((Traces { exporter, spans, counts }, way)))
}

/// Where to, and of which images.
fn settings(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<(String, Sampler)>> {
    let (own, general) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
    let (name, endpoint) = match (variable(own), variable(general)) {
        (Some(url), _) => (own, url),
        (None, Some(url)) => (general, format!("{}/v1/traces", url.trim_end_matches('/'))),
        (None, None) => return Ok(None),
    };
    let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|word| word.eq_ignore_ascii_case("true"));
    if is_off || variable("OTEL_TRACES_EXPORTER").is_some_and(|word| word == "none") {
        return Ok(None);
    }
    // What it says may be a password, and is not repeated.
    let is_good = reqwest::Url::parse(&endpoint).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    });
    if !is_good {
        bail!(
            "{name} is no address such as http://127.0.0.1:4318 (what the collector asks for besides goes into \
             OTEL_EXPORTER_OTLP_HEADERS)"
        );
    }
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        if let Some(protocol) = variable(name).filter(|protocol| protocol != "http/protobuf") {
            bail!("{name}={protocol}: traces are sent as http/protobuf only (a collector listens for it on port 4318)");
        }
    }
    let word = variable("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".into());
    // The parent is the image's root, for which the same decision was taken.
    let sampler = match word.strip_prefix("parentbased_").unwrap_or(&word) {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => {
            let share = variable("OTEL_TRACES_SAMPLER_ARG").unwrap_or_else(|| "1".into());
            let ratio: Option<f64> = share.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            let ratio = ratio.with_context(|| format!("OTEL_TRACES_SAMPLER_ARG={share} is no share from 0 to 1"))?;
            Sampler::TraceIdRatioBased(ratio)
        }
        _ => bail!(
            "OTEL_TRACES_SAMPLER={word} is none of always_on, always_off, traceidratio, and these with parentbased_ before \
             them"
        ),
    };
    Ok(Some((endpoint, sampler)))
}

/// Who tells; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come first.
fn resource() -> Resource {
    let given = Resource::builder().build();
    let is_unnamed =
        given.get(&Key::new("service.name")).is_none_or(|name| name.as_str().starts_with("unknown_service"));
    let mut resource = Resource::builder();
    if is_unnamed {
        resource = resource.with_service_name("affectory");
    }
    if given.get(&Key::new("service.instance.id")).is_none() {
        resource = resource.with_attribute(KeyValue::new("service.instance.id", environment::worker_id()));
    }
    resource.build()
}

/// Does the work while what it says is told; at the end the last of it is told, in a few seconds or not at all.
pub async fn told<T>(traces: Option<Traces>, work: impl Future<Output = T>) -> T {
    let Some(Traces { exporter, spans, counts }) = traces else { return work.await };
    let (ending, end) = oneshot::channel();
    let mut telling = tokio::spawn(tell(spans, exporter, Arc::clone(&counts), end));
    let outcome = work.await;
    let _ = ending.send(());
    if timeout(LAST_WORDS, &mut telling).await.is_err() {
        telling.abort();
    }
    let n_missing = counts.said.load(Ordering::Relaxed) - counts.told.load(Ordering::Relaxed);
    if n_missing > 0 {
        tracing::warn!("{n_missing} spans of traces never reached the collector");
    }
    outcome
}

async fn tell(
    mut spans: mpsc::Receiver<SpanData>,
    exporter: SpanExporter,
    counts: Arc<Counts>,
    mut end: oneshot::Receiver<()>,
) {
    let (mut batch, mut is_ending, mut is_over) = (Vec::new(), false, false);
    let mut said: Option<Instant> = None;
    while !is_over {
        let due = Instant::now() + PAUSE;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            tokio::select! {
                n = spans.recv_many(&mut batch, room) => if n == 0 { is_over = true; break },
                _ = &mut end, if !is_ending => { is_ending = true; spans.close() }
                () = sleep_until(due), if !is_ending => break,
            }
        }
        let n_spans = batch.len() as u64;
        if n_spans == 0 {
            continue;
        }
        let outcome = exporter.export(std::mem::take(&mut batch)).await;
        let count = if outcome.is_ok() { &counts.told } else { &counts.lost };
        count.fetch_add(n_spans, Ordering::Relaxed);
        let is_time = said.is_none_or(|said| said.elapsed() >= SAY_EVERY);
        if counts.lost.load(Ordering::Relaxed) > 0 && is_time {
            said = Some(Instant::now());
            let (n_lost, reason) =
                (counts.lost.swap(0, Ordering::Relaxed), outcome.err().map(|error| error.to_string()));
            tracing::warn!(reason, "the collector of traces is away or slow: {n_lost} spans are lost");
        }
    }
}

/// Makes spans of what stages say.
pub struct Way {
    sampler: Sampler,
    scope: InstrumentationScope,
    sender: mpsc::Sender<SpanData>,
    counts: Arc<Counts>,
}

impl<S: tracing::Subscriber> Layer<S> for Way {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        // Of most images nothing but the hash is looked at.
        let mut hash = HashOnly(None);
        event.record(&mut hash);
        let Some(ids) = hash.0.and_then(|hash| Ids::of(&hash)).filter(|ids| self.chooses(ids)) else { return };
        let mut step = Step::default();
        event.record(&mut step);
        for span in step.spans(ids, &self.scope, environment::now()) {
            self.counts.said.fetch_add(1, Ordering::Relaxed);
            if self.sender.try_send(span).is_err() {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Way {
    fn chooses(&self, ids: &Ids) -> bool {
        let chosen = self.sampler.should_sample(None, ids.trace, "", &SpanKind::Internal, &[], &[]);
        chosen.decision == SamplingDecision::RecordAndSample
    }
}

/// A trace and its root: the first 16 bytes of a hash, and the next 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ids {
    trace: TraceId,
    root: SpanId,
}

impl Ids {
    fn of(hash: &Sha256Hex) -> Option<Ids> {
        let trace = TraceId::from_hex(hash.as_str().get(..32)?).ok()?;
        let root = SpanId::from_hex(hash.as_str().get(32..48)?).ok()?;
        // OpenTelemetry has no id that is all zeros.
        (trace != TraceId::INVALID && root != SpanId::INVALID).then_some(Ids { trace, root })
    }

    fn context(self, id: SpanId) -> SpanContext {
        SpanContext::new(self.trace, id, TraceFlags::SAMPLED, false, TraceState::NONE)
    }
}

struct HashOnly(Option<Sha256Hex>);

impl Visit for HashOnly {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "hash" {
            self.0 = value.parse().ok();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// An event of [`affectory_core::WAY`], whose fields are described there.
#[derive(Default)]
struct Step {
    name: String,
    brings: Option<String>,
    failed: Option<String>,
    shard: Option<Ids>,
    ago_us: u64,
    took_us: u64,
    parts: Vec<(&'static str, u64)>,
    attributes: Vec<KeyValue>,
}

impl Visit for Step {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "hash" => {}
            "step" => self.name = plain(value),
            "brings" => self.brings = Some(plain(value)),
            "failed" => self.failed = Some(plain(value)),
            "shard" => self.shard = value.parse().ok().and_then(|hash| Ids::of(&hash)),
            name => self.attributes.push(KeyValue::new(name, plain(value))),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match (field.name(), field.name().strip_prefix("part.")) {
            ("ago_us", _) => self.ago_us = value,
            ("took_us", _) => self.took_us = value,
            (_, Some(part)) => self.parts.push((part, value)),
            (name, None) => self.attributes.push(KeyValue::new(name, i64::try_from(value).unwrap_or(i64::MAX))),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.push(KeyValue::new(field.name(), value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // The event's own text, if it has one, is for people.
        if field.name() != "message" {
            self.attributes.push(KeyValue::new(field.name(), plain(&format!("{value:?}"))));
        }
    }
}

impl Step {
    /// The step, its parts, and the root if it begins here.
    fn spans(self, ids: Ids, scope: &InstrumentationScope, now: SystemTime) -> Vec<SpanData> {
        let began = now.checked_sub(Duration::from_micros(self.ago_us)).unwrap_or(now);
        let ended = began.checked_add(Duration::from_micros(self.took_us)).map_or(now, |ended| ended.min(now));
        let span = |name: String, id, parent, (from, to)| SpanData {
            span_context: ids.context(id),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: from,
            end_time: to,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: scope.clone(),
        };
        // What brings itself is its own root.
        let is_root = self.brings.as_ref() == Some(&self.name);
        let (id, parent) = match is_root {
            true => (ids.root, SpanId::INVALID),
            false => (RandomIdGenerator::default().new_span_id(), ids.root),
        };
        let mut spans = Vec::new();
        if let Some(root) = self.brings.filter(|_| !is_root) {
            spans.push(span(root, ids.root, SpanId::INVALID, (began, ended)));
        }
        let mut at = began;
        for (part, part_us) in self.parts {
            let until = at.checked_add(Duration::from_micros(part_us)).map_or(ended, |until| until.min(ended));
            let part_id = RandomIdGenerator::default().new_span_id();
            spans.push(span(format!("{}.{part}", self.name), part_id, id, (at, until)));
            at = until;
        }
        let mut step = span(self.name, id, parent, (began, ended));
        step.attributes = self.attributes;
        step.status = self.failed.map_or(Status::Unset, Status::error);
        if let Some(shard) = self.shard {
            step.attributes.push(KeyValue::new("shard", shard.trace.to_string()));
            step.links.links.push(Link::new(shard.context(shard.root), Vec::new(), 0));
        }
        spans.push(step);
        spans
    }
}

/// Text from outside, short and without control characters.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use opentelemetry::Value;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef00000000000000ff5555555555555555";

    fn asked(pairs: &[(&str, &str)]) -> anyhow::Result<Option<(String, Sampler)>> {
        let variables: HashMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        settings(|name| variables.get(name).cloned())
    }

    /// The spans of what `say` says.
    fn spans_of(sampler: Sampler, say: impl FnOnce()) -> Vec<SpanData> {
        let (sender, mut spans) = mpsc::channel(64);
        let way = Way { sampler, scope: InstrumentationScope::default(), sender, counts: Arc::default() };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(way), say);
        std::iter::from_fn(|| spans.try_recv().ok()).collect()
    }

    #[test]
    fn nothing_is_told_unless_somebody_says_where_to_and_nonsense_is_one_line() {
        assert!(asked(&[("OTEL_TRACES_SAMPLER", "always_on")]).unwrap().is_none());
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/");
        assert_eq!(asked(&[general]).unwrap().unwrap().0, "http://c:4318/v1/traces");
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c/here");
        assert_eq!(asked(&[general, own]).unwrap().unwrap().0, "https://c/here");
        assert!(asked(&[general, ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
        let ratio = ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio");
        for bad in [
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4318")][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:secret@c")],
            &[general, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            &[general, ("OTEL_TRACES_SAMPLER", "sometimes")],
            &[general, ratio, ("OTEL_TRACES_SAMPLER_ARG", "1.5")],
            &[general, ratio, ("OTEL_TRACES_SAMPLER_ARG", "NaN")],
        ] {
            let line = format!("{:#}", asked(bad).unwrap_err());
            assert!(line.contains("OTEL_") && !line.contains('\n') && !line.contains("secret"), "{line}");
        }
    }

    #[test]
    fn ids_follow_from_the_hash_and_every_process_chooses_the_same_images() {
        let hash = |n: u32| affectory_imaging::sha256(&n.to_le_bytes());
        let ids = Ids::of(&HASH.parse().unwrap()).unwrap();
        assert_eq!(ids.trace.to_string(), HASH[..32]);
        assert_eq!(ids.root.to_string(), HASH[32..48]);
        assert_eq!(Ids::of(&"0".repeat(64).parse().unwrap()), None);
        let chosen = |sampler: Sampler| -> Vec<u32> {
            let say = |n: &u32| {
                !spans_of(sampler.clone(), || tracing::info!(hash = hash(*n).as_str(), step = "x")).is_empty()
            };
            (0..2_000).filter(say).collect()
        };
        let (few, many) = (chosen(Sampler::TraceIdRatioBased(0.1)), chosen(Sampler::TraceIdRatioBased(0.5)));
        assert!((150..250).contains(&few.len()) && (900..1_100).contains(&many.len()), "{} {}", few.len(), many.len());
        assert!(few.iter().all(|n| many.contains(n)), "a smaller share is part of a larger one");
        assert_eq!(chosen(Sampler::AlwaysOn).len(), 2_000);
        assert_eq!(chosen(Sampler::AlwaysOff).len(), 0);
    }

    #[test]
    fn a_step_has_its_parts_within_it_and_hangs_on_the_root_that_it_brings() {
        let hash = HASH;
        let spans = spans_of(Sampler::AlwaysOn, || {
            tracing::info!(
                hash,
                step = "fetch",
                brings = "image",
                ago_us = 900_u64,
                took_us = 800_u64,
                part.request = 500_u64,
                part.store = 300_u64,
                failed = "gone",
                shard = hash,
                status = 410_u64,
                bytes = None::<u64>,
            );
        });
        let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
        assert_eq!(names, ["image", "fetch.request", "fetch.store", "fetch"]);
        let [root, request, store, fetch] = &spans[..] else { panic!() };
        assert_eq!((root.parent_span_id, fetch.parent_span_id), (SpanId::INVALID, root.span_context.span_id()));
        assert!([request, store].iter().all(|part| part.parent_span_id == fetch.span_context.span_id()));
        assert_eq!(
            (request.start_time, request.end_time, store.end_time),
            (fetch.start_time, store.start_time, fetch.end_time)
        );
        assert_eq!(fetch.end_time.duration_since(fetch.start_time).unwrap(), Duration::from_micros(800));
        assert_eq!(fetch.status, Status::error("gone"));
        assert_eq!(fetch.attributes, [KeyValue::new("status", 410), KeyValue::new("shard", hash[..32].to_owned())]);
        let alone = spans_of(Sampler::AlwaysOn, || tracing::info!(hash, step = "shard", brings = "shard"));
        assert_eq!(alone.len(), 1);
        assert_eq!(alone[0].span_context.span_id(), root.span_context.span_id());
    }

    #[test]
    fn hostile_values_are_cut_and_make_no_time_before_the_beginning_or_after_now() {
        let long = "\u{1b}[31m\n".to_owned() + &"\u{1f600}".repeat(100_000);
        let spans = spans_of(Sampler::AlwaysOn, || {
            tracing::info!(
                hash = HASH, step = long.as_str(), ago_us = u64::MAX, took_us = u64::MAX, part.a = u64::MAX,
                part.b = 1_u64, host = ?long, n = u64::MAX, shard = "../../etc", failed = long.as_str(),
            );
        });
        assert_eq!(spans.len(), 3);
        for span in &spans {
            assert!(span.start_time <= span.end_time && span.end_time <= environment::now(), "{span:?}");
            assert!(span.name.chars().count() <= LONGEST + 2 && !span.name.chars().any(char::is_control));
        }
        assert_eq!(spans[2].attributes[1].value, Value::I64(i64::MAX));
        assert_eq!(spans[2].attributes.len(), 2, "what is no hash is no shard");
        for hash in ["", "xyz", &HASH[..63], &"0".repeat(64)] {
            assert!(spans_of(Sampler::AlwaysOn, || tracing::info!(hash, step = "x")).is_empty(), "{hash}");
        }
    }
}
