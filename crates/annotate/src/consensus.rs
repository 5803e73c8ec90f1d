//! What do all annotations together say of each face, by which method, and can the same be had again?

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use affectory_catalog::{AnnotatorKind, Catalog, ConsensusRow, NewConsensusRun, RatingRow};
use affectory_core::{AnnotationId, AnnotatorId, Expression, FaceId, Progress, Sha256Hex, Stop};
use affectory_evaluate::{
    ConsensusMethod, ConsensusResult, DawidSkene, FaceConsensus, FaceVote, Vote, WeightedMean, form_consensus,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::log::is_annotator;
use crate::{AnnotateError, RatingLog};

/// Faces written in one transaction: short enough that an annotator's answer does not wait.
const BATCH: usize = 5_000;

/// A consensus that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsensusRequest {
    /// By which method.
    pub method: ConsensusMethod,
    /// Last row of the log that takes part; none: all of it.
    pub upto: Option<AnnotationId>,
    /// The program that computes it.
    pub program_version: String,
}

/// A consensus that is now recorded.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ConsensusReport {
    /// Its number.
    pub id: i64,
    /// How it was reached.
    #[serde(flatten)]
    pub run: NewConsensusRun,
    /// What came out.
    pub summary: ConsensusSummary,
}

/// A consensus in a few numbers.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct ConsensusSummary {
    /// Faces of which anything was said.
    pub n_faces: usize,
    /// Of these, with a category.
    pub n_with_category: usize,
    /// Without one because of a tie.
    pub n_ties: usize,
    /// Without one because nobody gave one.
    pub n_without_votes: usize,
    /// Decided by an adjudication.
    pub n_adjudicated: usize,
    /// With valence or arousal from a proxy.
    pub n_proxy: usize,
    /// Mean share of the votes that a face's category has, over faces with two votes or more.
    pub mean_agreement: Option<f64>,
}

/// Forms the consensus of the log and records it. The same method over the same rows has the same two hashes.
///
/// # Errors
/// [`AnnotateError`]; after a kill or a stop the run is there, incomplete, and the next one replaces its rows.
pub async fn record_consensus(
    catalog: &Catalog,
    request: &ConsensusRequest,
    (stop, progress): (&Stop, &dyn Progress),
    now_ms: i64,
) -> Result<ConsensusReport, AnnotateError> {
    let mut log = RatingLog::default();
    log.refresh(catalog).await?;
    if let Some(last) = request.upto {
        log = log.up_to(last);
    }
    let names = catalog.list_annotators().await?;
    let (faces, n_answers, run, summary) = tokio::task::block_in_place(|| {
        let (votes, inputs_sha256) = inputs(&log);
        let mut n_answers: HashMap<i64, u32> = HashMap::new();
        for vote in votes.iter().filter(|vote| vote.vote.is_ordinary()) {
            *n_answers.entry(vote.face).or_default() += 1;
        }
        let result = form_consensus(&votes, request.method);
        let summary = summarise(&result);
        let run = NewConsensusRun {
            method: request.method.name().to_owned(),
            parameters: parameters(request.method).to_string(),
            program_version: request.program_version.clone(),
            last_annotation_id: log.last(),
            n_annotations: votes.len() as u64,
            n_faces: result.faces.len() as u64,
            inputs_sha256,
            result_sha256: result_sha256(&result),
            details: details(&result, &summary, &names).to_string(),
        };
        (result.faces, n_answers, run, summary)
    });
    if faces.is_empty() {
        return Err(AnnotateError::NothingSaid);
    }
    let id = catalog.insert_consensus_run(&run, now_ms).await?;
    progress.begin("recording the consensus", Some(faces.len() as u64));
    for some in faces.chunks(BATCH) {
        if stop.is_requested() {
            return Err(AnnotateError::ConsensusStopped(run.method));
        }
        let batch: Vec<ConsensusRow> = some.iter().map(|face| row(face, &n_answers, id, &run.method)).collect();
        catalog.record_consensus(&batch, now_ms).await?;
        progress.advance(batch.len() as u64);
    }
    progress.end();
    catalog.finish_consensus_run(id, &run).await?;
    Ok(ConsensusReport { id, run, summary })
}

/// What takes part, in the log's order, and the hash of it. People, imported annotators and renderers vote, formulas are
/// proxies, adjudications decide; what a network says never takes part.
fn inputs(log: &RatingLog) -> (Vec<FaceVote>, Sha256Hex) {
    let mut votes = Vec::new();
    let mut text = Hashed::new("affectory consensus inputs 1");
    for row in log.standing().filter(|row| is_annotator(row.kind) || row.kind == AnnotatorKind::Proxy) {
        let RatingRow { id, face_id, annotator_id, kind, is_adjudication, expression, valence, arousal, .. } = *row;
        let vote = Vote { expression, valence, arousal, is_proxy: kind == AnnotatorKind::Proxy, is_adjudication };
        votes.push(FaceVote { face: face_id.0, annotator: annotator_id.0, vote });
        let (expression, decides) = (expression.map(Expression::name), u8::from(is_adjudication));
        text.line(format_args!(
            "{id}\t{face_id}\t{annotator_id}\t{}\t{decides}\t{}\t{}\t{}",
            kind.name(),
            Cell(expression),
            Cell(valence.map(|valence| valence.value())),
            Cell(arousal.map(|arousal| arousal.value())),
        ));
    }
    (votes, text.finish())
}

fn result_sha256(result: &ConsensusResult) -> Sha256Hex {
    let mut text = Hashed::new("affectory consensus result 1");
    for FaceConsensus { face, consensus, distribution } in &result.faces {
        let shares = distribution.map(|shares| shares.map(|share| share.to_string()).join(" "));
        let (is_proxy, is_adjudicated) = (u8::from(consensus.is_proxy), u8::from(consensus.is_adjudicated));
        text.line(format_args!(
            "{face}\t{}\t{}\t{}\t{is_proxy}\t{is_adjudicated}\t{}\t{}\t{}\t{}\t{}",
            Cell(consensus.expression.map(Expression::name)),
            Cell(consensus.valence.map(|valence| valence.value())),
            Cell(consensus.arousal.map(|arousal| arousal.value())),
            consensus.n,
            Cell(consensus.agreement),
            Cell(consensus.valence_spread),
            Cell(consensus.arousal_spread),
            Cell(shares),
        ));
    }
    text.finish()
}

/// A hash of lines.
struct Hashed {
    digest: Sha256,
    line: String,
}

impl Hashed {
    fn new(title: &str) -> Self {
        let mut hashed = Self { digest: Sha256::new(), line: String::new() };
        hashed.line(format_args!("{title}"));
        hashed
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.line.clear();
        // Writing into a String cannot fail.
        let _ = writeln!(self.line, "{line}");
        self.digest.update(&self.line);
    }

    fn finish(self) -> Sha256Hex {
        Sha256Hex::from_digest(&self.digest.finalize().into())
    }
}

/// A value, or a dash.
struct Cell<T>(Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for Cell<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

fn row(found: &FaceConsensus, n_answers: &HashMap<i64, u32>, run: i64, method: &str) -> ConsensusRow {
    let FaceConsensus { face, consensus, distribution } = *found;
    ConsensusRow {
        face_id: FaceId(face),
        method: method.to_owned(),
        expression: consensus.expression,
        valence: consensus.valence,
        arousal: consensus.arousal,
        is_proxy: consensus.is_proxy,
        n_annotations: n_answers.get(&face).copied().unwrap_or(0),
        agreement: consensus.agreement,
        run_id: Some(run),
        shares: distribution,
        valence_spread: consensus.valence_spread,
        arousal_spread: consensus.arousal_spread,
    }
}

fn summarise(result: &ConsensusResult) -> ConsensusSummary {
    let mut summary = ConsensusSummary { n_faces: result.faces.len(), ..ConsensusSummary::default() };
    let (mut n_shared, mut agreements) = (0, 0.0);
    for FaceConsensus { consensus, .. } in &result.faces {
        match (consensus.expression, consensus.n) {
            (Some(_), _) => summary.n_with_category += 1,
            (None, 0) => summary.n_without_votes += 1,
            (None, _) => summary.n_ties += 1,
        }
        summary.n_adjudicated += usize::from(consensus.is_adjudicated);
        summary.n_proxy += usize::from(consensus.is_proxy);
        if let Some(agreement) = consensus.agreement.filter(|_| consensus.n >= 2) {
            (n_shared, agreements) = (n_shared + 1, agreements + f64::from(agreement));
        }
    }
    summary.mean_agreement = (n_shared > 0).then(|| agreements / f64::from(n_shared));
    summary
}

fn parameters(method: ConsensusMethod) -> Value {
    match method {
        ConsensusMethod::Majority => json!({}),
        ConsensusMethod::SoftLabel(smoothing) => json!({ "smoothing": smoothing }),
        ConsensusMethod::DawidSkene(options) => json!({
            "smoothing": options.smoothing,
            "tolerance": options.tolerance,
            "max_iterations": options.max_iterations,
        }),
        ConsensusMethod::WeightedMean(options) => json!({
            "variance_floor": options.variance_floor,
            "n_prior_answers": options.n_prior_answers,
            "tolerance": options.tolerance,
            "max_iterations": options.max_iterations,
        }),
    }
}

type Names = BTreeMap<AnnotatorId, (String, AnnotatorKind)>;

/// What else was found out, of the annotators above all.
fn details(result: &ConsensusResult, summary: &ConsensusSummary, names: &Names) -> Value {
    let mut details = json!({ "summary": summary });
    if let Some(model) = &result.dawid_skene {
        details["dawid_skene"] = confusions(model, names);
    }
    if let Some((valences, arousals)) = &result.weights {
        details["valence"] = weights(valences, names);
        details["arousal"] = weights(arousals, names);
    }
    details
}

fn confusions(model: &DawidSkene, names: &Names) -> Value {
    let class = |class: &u8| Expression::from_index(usize::from(*class)).map(Expression::name);
    let annotators = model.annotators.iter().map(|annotator| {
        json!({
            "annotator": name(annotator.annotator, names),
            "n": annotator.n,
            "confusion": annotator.confusion,
        })
    });
    json!({
        "classes": model.classes.iter().map(class).collect::<Vec<_>>(),
        "priors": model.priors,
        "n_iterations": model.n_iterations,
        "has_converged": model.has_converged,
        "log_likelihood": model.log_likelihood,
        "annotators": annotators.collect::<Vec<_>>(),
    })
}

fn weights(means: &WeightedMean, names: &Names) -> Value {
    let annotators = means.annotators.iter().map(|annotator| {
        json!({
            "annotator": name(annotator.annotator, names),
            "n_shared": annotator.n_shared,
            "variance": annotator.variance,
            "weight": annotator.weight,
        })
    });
    json!({
        "n_iterations": means.n_iterations,
        "has_converged": means.has_converged,
        "annotators": annotators.collect::<Vec<_>>(),
    })
}

fn name(annotator: i64, names: &Names) -> Option<&str> {
    names.get(&AnnotatorId(annotator)).map(|(name, _)| name.as_str())
}
