//! How does a shard get from a dispatcher to a worker, and what becomes of one that nobody can work off?
//!
//! One stream with work-queue retention holds the shards until they are acknowledged, a second one those that were given
//! up, with the reason. This is the only file that speaks to NATS.

use std::fmt::Display;
use std::future::IntoFuture;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use affectory_catalog::QueueConfig;
use affectory_core::{WAY, way_us};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::ConsumerErrorKind;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, AckKind, Context, ErrorCode, Message};
use async_nats::{Client, ConnectOptions, Event};
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};
use tracing::Level;

use crate::aside::Source;
use crate::{DispatchError, Shard, Urgency, WorkStage};

/// A worker that says nothing about a shard for this long is taken for dead, and the shard is handed out again.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// A worker says this often that it is still at a shard.
pub(crate) const SAY_EVERY: Duration = Duration::from_secs(15);

/// A shard that was handed out this often is given up: workers die of it, or it never fits.
const MOST_DELIVERIES: i64 = 20;

/// The same shard offered twice within this time is one.
const SAME_WITHIN: Duration = Duration::from_secs(60);

/// Shards that wait, at most; beyond it the stream itself refuses, whoever offers.
const MOST_WAITING: i64 = 10_000;

/// How long shards that were given up are kept.
const BURIED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long an answer of the queue is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How long the queue is left alone after it did not answer.
const LEFT_ALONE: Duration = Duration::from_secs(2);

/// How a client says who it is; it comes from the environment.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// Not at all.
    #[default]
    None,
    /// A word.
    Token(String),
    /// A `.creds` file as `nsc` writes it.
    File(PathBuf),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::Token(_) => "Token(..)",
            Credentials::File(_) => "File(..)",
        })
    }
}

/// How many shards of a stage there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Waiting {
    /// Nobody has them.
    pub waiting: u64,
    /// Those of them that go before the others.
    pub urgent: u64,
    /// Workers have them.
    pub in_work: u64,
}

/// A shard that was given up.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Buried {
    /// Its stage.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// The message, as far as it is text.
    pub shard: String,
}

/// A connection to the queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    context: Context,
    servers: String,
    name: String,
    replicas: usize,
}

impl Queue {
    /// Connects, and makes the streams and consumers where they are not there yet.
    ///
    /// # Errors
    /// [`DispatchError::Settings`] or [`DispatchError::Queue`]. Once connected, the connection is kept up for ever.
    pub async fn connect(settings: &QueueConfig, credentials: &Credentials) -> Result<Queue, DispatchError> {
        check(settings)?;
        let servers = settings.servers.join(", ");
        let options = match credentials {
            Credentials::None => ConnectOptions::new(),
            Credentials::Token(token) => ConnectOptions::with_token(token.clone()),
            Credentials::File(path) => ConnectOptions::with_credentials_file(path)
                .await
                .map_err(|error| DispatchError::Settings(format!("credentials in {}: {error}", path.display())))?,
        };
        let options =
            options.name("affectory").connection_timeout(PATIENCE).request_timeout(Some(PATIENCE)).event_callback(
                |event| async move {
                    match event {
                        Event::Connected => tracing::info!("connected to the queue"),
                        // By ourselves, at the end.
                        Event::Closed | Event::Draining => {}
                        other => tracing::warn!("the queue's connection: {other}"),
                    }
                },
            );
        let client = options.connect(&settings.servers).await.map_err(|error| DispatchError::Queue {
            action: "connect",
            servers: servers.clone(),
            reason: format!("{error}; is nats-server running there with JetStream (-js)?"),
        })?;
        let queue = Queue {
            context: jetstream::new(client.clone()),
            client,
            servers,
            name: settings.name.clone(),
            replicas: settings.replicas,
        };
        queue.make_streams().await?;
        Ok(queue)
    }

    async fn make_streams(&self) -> Result<(), DispatchError> {
        let work = Config {
            name: self.work(),
            subjects: vec![format!("{}.work.>", self.name)],
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            max_messages: MOST_WAITING,
            duplicate_window: SAME_WITHIN,
            num_replicas: self.replicas,
            description: Some("affectory: shards that wait for a worker".into()),
            ..Config::default()
        };
        let dead = Config {
            name: self.dead(),
            subjects: vec![format!("{}.dead.>", self.name)],
            storage: StorageType::File,
            max_age: BURIED_FOR,
            max_messages: 100_000,
            num_replicas: self.replicas,
            description: Some("affectory: shards that were given up, with the reason".into()),
            ..Config::default()
        };
        for stream in [work, dead] {
            self.context.create_or_update_stream(stream).await.map_err(self.failed("make a stream"))?;
        }
        Ok(())
    }

    /// The consumer of a stage's shards of one urgency. Streams that somebody deleted are made again: what they held is offered again.
    async fn consumer(&self, stage: WorkStage, urgency: Urgency) -> Result<PullConsumer, DispatchError> {
        let stream = match self.context.get_stream(self.work()).await {
            Ok(stream) => stream,
            Err(error) if is_gone(&error) => {
                self.make_streams().await?;
                self.context.get_stream(self.work()).await.map_err(self.failed("find the stream"))?
            }
            Err(error) => return Err(self.failed("find the stream")(error)),
        };
        let config = pull::Config {
            durable_name: Some(consumer_name(stage, urgency)),
            filter_subject: self.subject(stage, urgency),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: MOST_WAITING,
            ..pull::Config::default()
        };
        stream.create_consumer(config).await.map_err(self.failed("make a consumer"))
    }

    /// Offers a shard; when this returns, the queue has it. Says false if it has the same one already.
    ///
    /// # Errors
    /// [`DispatchError::Queue`].
    pub async fn offer(&self, shard: &Shard, urgency: Urgency) -> Result<bool, DispatchError> {
        let bytes = serde_json::to_vec(shard).map_err(self.failed("write a shard"))?;
        let id = hex::encode(Sha256::digest(&bytes));
        let message = PublishMessage::build().payload(bytes.into()).message_id(id);
        let sent = self.context.send_publish(self.subject(shard.stage(), urgency), message).await;
        let taken = sent.map_err(self.failed("offer a shard"))?.await.map_err(self.failed("offer a shard"))?;
        Ok(!taken.duplicate)
    }

    /// Waits until all that was said to the queue has left this machine: a process that ends sooner takes it along, and a
    /// shard that was given back is missed for a minute.
    pub async fn flush(&self) {
        say(self.client.flush()).await;
    }

    /// How many shards of a stage there are.
    ///
    /// # Errors
    /// [`DispatchError::Queue`].
    pub async fn waiting(&self, stage: WorkStage) -> Result<Waiting, DispatchError> {
        let urgent = self.waiting_of(stage, Urgency::Urgent).await?;
        let usual = self.waiting_of(stage, Urgency::Usual).await?;
        Ok(Waiting {
            waiting: urgent.waiting + usual.waiting,
            urgent: urgent.waiting,
            in_work: urgent.in_work + usual.in_work,
        })
    }

    /// How many shards of a stage and of one urgency there are.
    ///
    /// # Errors
    /// [`DispatchError::Queue`].
    pub async fn waiting_of(&self, stage: WorkStage, urgency: Urgency) -> Result<Waiting, DispatchError> {
        // One question; a dispatcher asks several times a second.
        let known = self.context.get_consumer_from_stream(consumer_name(stage, urgency), self.work()).await;
        let consumer: PullConsumer = match known {
            Err(error) if matches!(error.kind(), ConsumerErrorKind::JetStream(_)) => {
                self.consumer(stage, urgency).await?
            }
            known => known.map_err(self.failed("ask for its shards"))?,
        };
        let info = consumer.cached_info();
        let urgent = if urgency == Urgency::Urgent { info.num_pending } else { 0 };
        Ok(Waiting { waiting: info.num_pending, urgent, in_work: info.num_ack_pending as u64 })
    }

    /// Begins to take shards of a stage.
    ///
    /// # Errors
    /// [`DispatchError::Queue`].
    pub async fn take(&self, stage: WorkStage) -> Result<Taker, DispatchError> {
        Ok(Taker { queue: self.clone(), stage, consumers: self.consumers(stage).await?, again_at: None })
    }

    /// Of both urgencies, the more urgent first.
    async fn consumers(&self, stage: WorkStage) -> Result<[PullConsumer; 2], DispatchError> {
        let [urgent, usual] = Urgency::ALL;
        Ok([self.consumer(stage, urgent).await?, self.consumer(stage, usual).await?])
    }

    /// The shards that were given up, the latest first.
    ///
    /// # Errors
    /// [`DispatchError::Queue`].
    pub async fn list_buried(&self, limit: u64) -> Result<(u64, Vec<Buried>), DispatchError> {
        let stream = self.context.get_stream(self.dead()).await.map_err(self.failed("find the stream"))?;
        let state = stream.cached_info().state.clone();
        let mut buried = Vec::new();
        let mut at = state.last_sequence;
        while state.messages > 0 && at >= state.first_sequence && (buried.len() as u64) < limit {
            if let Ok(message) = stream.get_raw_message(at).await {
                let reason = message.headers.get("reason").map(|reason| reason.as_str().to_owned()).unwrap_or_default();
                buried.push(Buried {
                    stage: message.subject.rsplit('.').next().unwrap_or_default().to_owned(),
                    reason,
                    shard: String::from_utf8_lossy(&message.payload).into_owned(),
                });
            }
            at -= 1;
        }
        Ok((state.messages, buried))
    }

    async fn bury(&self, stage: WorkStage, message: &Message, reason: &str) -> Result<(), DispatchError> {
        // Headers are lines.
        let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
        let dead = PublishMessage::build().payload(message.payload.clone()).header("reason", reason.as_str());
        let sent = self.context.send_publish(format!("{}.dead.{stage}", self.name), dead).await;
        sent.map_err(self.failed("give a shard up"))?.await.map_err(self.failed("give a shard up"))?;
        // Only now: a shard is in one of the two streams at any time.
        message.ack_with(AckKind::Term).await.map_err(self.failed("give a shard up"))?;
        tracing::warn!(%stage, %reason, "a shard was given up");
        Ok(())
    }

    fn work(&self) -> String {
        format!("{}-work", self.name)
    }

    fn dead(&self) -> String {
        format!("{}-dead", self.name)
    }

    fn subject(&self, stage: WorkStage, urgency: Urgency) -> String {
        match urgency {
            Urgency::Usual => format!("{}.work.{stage}", self.name),
            Urgency::Urgent => format!("{}.work.{stage}.urgent", self.name),
        }
    }

    fn failed<E: Display>(&self, action: &'static str) -> impl FnOnce(E) -> DispatchError {
        let servers = self.servers.clone();
        move |error| DispatchError::Queue { action, servers, reason: error.to_string() }
    }
}

fn consumer_name(stage: WorkStage, urgency: Urgency) -> String {
    match urgency {
        Urgency::Usual => stage.name().to_owned(),
        Urgency::Urgent => format!("{stage}-urgent"),
    }
}

/// Whether the server answers that there is no such stream, and is not merely away.
fn is_gone(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(answer) if answer.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Names become parts of subjects and of file names at the server; a password in an address would be printed.
fn check(settings: &QueueConfig) -> Result<(), DispatchError> {
    let bad = |reason: String| Err(DispatchError::Settings(reason));
    if settings.servers.is_empty() {
        return bad("servers = [] names none".into());
    }
    for server in &settings.servers {
        if !["nats://", "tls://"].iter().any(|scheme| server.starts_with(scheme)) {
            return bad(format!("`{server}` does not begin with nats:// or tls://"));
        }
        if server.contains('@') {
            return bad("an address holds a user or a password: take it out, it comes from the environment".into());
        }
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if settings.name.is_empty() || settings.name.len() > 64 || !settings.name.chars().all(is_plain) {
        return bad(format!("name = \"{}\" is not 1 to 64 of A-Z a-z 0-9 - _", settings.name));
    }
    if !matches!(settings.replicas, 1 | 3 | 5) {
        return bad(format!("replicas = {} is not 1, 3 or 5", settings.replicas));
    }
    Ok(())
}

/// Takes the shards of one stage.
#[derive(Debug)]
pub struct Taker {
    queue: Queue,
    stage: WorkStage,
    /// The more urgent first.
    consumers: [PullConsumer; 2],
    /// The queue did not answer and is left alone until then.
    again_at: Option<Instant>,
}

impl Source for Taker {
    type Item = Held;

    /// The next shard, if one waits now. A queue that does not answer has none; a shard that makes no sense, or that was
    /// handed out too often, is given up here.
    async fn next(&mut self) -> Option<Held> {
        if let Some(at) = self.again_at {
            if Instant::now() < at {
                return None;
            }
            // It may have forgotten us.
            match timeout(PATIENCE, self.queue.consumers(self.stage)).await {
                Ok(Ok(consumers)) => self.consumers = consumers,
                Ok(Err(error)) => return self.leave_alone(&error.to_string()),
                Err(_) => return self.leave_alone("no answer"),
            }
            self.again_at = None;
        }
        loop {
            let message = match timeout(PATIENCE, self.pull()).await {
                Ok(Ok(message)) => message?,
                Ok(Err(reason)) => return self.leave_alone(&reason),
                Err(_) => return self.leave_alone("no answer"),
            };
            let (n_deliveries, published_ms) = match message.info() {
                Ok(info) => (info.delivered, info.published.unix_timestamp_nanos() / 1_000_000),
                Err(error) => return self.leave_alone(&error.to_string()),
            };
            let parsed = if n_deliveries > MOST_DELIVERIES {
                Err(format!("it was handed out {n_deliveries} times and never done"))
            } else {
                Shard::parse(&message.payload).and_then(|shard| {
                    if shard.stage() == self.stage { Ok(shard) } else { Err("another stage's".into()) }
                })
            };
            match parsed {
                Ok(shard) => {
                    let published_ms = i64::try_from(published_ms).unwrap_or(i64::MAX);
                    let hash = hex::encode(Sha256::digest(&message.payload)).into();
                    let now = Instant::now();
                    return Some(Held {
                        shard,
                        message,
                        hash,
                        published_ms,
                        waited_ms: 0,
                        taken_at: now,
                        said_at: now,
                    });
                }
                Err(reason) => {
                    if let Err(error) = self.queue.bury(self.stage, &message, &reason).await {
                        return self.leave_alone(&error.to_string());
                    }
                }
            }
        }
    }
}

impl Taker {
    async fn pull(&self) -> Result<Option<Message>, String> {
        for consumer in &self.consumers {
            let mut messages = consumer.fetch().max_messages(1).messages().await.map_err(|error| error.to_string())?;
            let message = messages.next().await.transpose().map_err(|error| error.to_string())?;
            if message.is_some() {
                return Ok(message);
            }
        }
        Ok(None)
    }

    fn leave_alone(&mut self, reason: &str) -> Option<Held> {
        tracing::warn!(stage = %self.stage, "the queue gives no work now: {reason}");
        self.again_at = Some(Instant::now() + LEFT_ALONE);
        None
    }
}

/// A shard in our hands. Dropped without a word, it is handed out again after a while.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) shard: Shard,
    message: Message,
    /// SHA-256 of the message, which is its name at the queue, too.
    pub(crate) hash: Arc<str>,
    /// When the queue got it, ms UTC.
    pub(crate) published_ms: i64,
    /// How long it waited there, ms.
    pub(crate) waited_ms: i64,
    taken_at: Instant,
    said_at: Instant,
}

impl Held {
    /// Says now and then that we are still at it.
    pub(crate) async fn keep(&mut self) {
        if self.said_at.elapsed() >= SAY_EVERY {
            self.said_at = Instant::now();
            say(self.message.ack_with(AckKind::Progress)).await;
        }
    }

    /// It is done, and its results are committed. An acknowledgement that is lost costs one more look.
    pub(crate) async fn done(self) {
        say(self.message.ack()).await;
        self.tell("done");
    }

    /// We end before it is done: somebody else may go on at once.
    pub(crate) async fn give_back(self) {
        say(self.message.ack_with(AckKind::Nak(None))).await;
        self.tell("given-back");
    }

    /// For whoever follows what becomes of a shard.
    fn tell(&self, outcome: &'static str) {
        if !tracing::enabled!(target: WAY, Level::INFO) {
            return;
        }
        let waited_us = u64::try_from(self.waited_ms).unwrap_or(0).saturating_mul(1_000);
        let worked_us = way_us(self.taken_at.elapsed());
        let all_us = waited_us.saturating_add(worked_us);
        tracing::info!(
            target: WAY,
            step = "shard",
            hash = &*self.hash,
            // Given back, it comes again.
            brings = (outcome == "done").then_some("shard"),
            ago_us = all_us,
            took_us = all_us,
            part.wait = waited_us,
            part.work = worked_us,
            stage = self.shard.stage().name(),
            outcome,
        );
    }
}

async fn say<E: Display>(word: impl IntoFuture<Output = Result<(), E>>) {
    match timeout(PATIENCE, word.into_future()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("the queue was not told: {error}"),
        Err(_) => tracing::warn!("the queue was not told: no answer"),
    }
}
