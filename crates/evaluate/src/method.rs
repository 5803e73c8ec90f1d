//! What do all faces' annotators together say, by the method of one's choice?

use affectory_core::Expression;

use crate::confusion::Class;
use crate::consensus::{Consensus, Opinion, Vote, majority, settle, soft_label, vote_counts};
use crate::dawid_skene::{DawidSkene, DawidSkeneOptions, dawid_skene};
use crate::weighted_mean::{WeightedMean, WeightedMeanOptions, weighted_mean_of};

/// One annotation, with whose and of what it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceVote {
    /// Which face.
    pub face: i64,
    /// Which annotator.
    pub annotator: i64,
    /// What was said.
    pub vote: Vote,
}

/// How the ordinary votes become one answer. Proxies and adjudications are treated by all methods as by [`majority`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ConsensusMethod {
    /// Category by plurality, valence and arousal by mean.
    Majority,
    /// As majority, with the distribution of the votes smoothed by this constant, >= 0.
    SoftLabel(f64),
    /// Category by Dawid and Skene's model, valence and arousal by mean.
    DawidSkene(DawidSkeneOptions),
    /// Category by plurality, valence and arousal by means weighted by the annotators' inverse error variance.
    WeightedMean(WeightedMeanOptions),
}

impl ConsensusMethod {
    /// The method's name in the catalogue.
    pub const fn name(&self) -> &'static str {
        match self {
            ConsensusMethod::Majority => "majority",
            ConsensusMethod::SoftLabel(_) => "soft-label",
            ConsensusMethod::DawidSkene(_) => "dawid-skene",
            ConsensusMethod::WeightedMean(_) => "weighted-mean",
        }
    }
}

/// The consensus of all faces, and what the method learnt of the annotators.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsensusResult {
    /// By which method.
    pub method: ConsensusMethod,
    /// Every face with a vote, by ascending id.
    pub faces: Vec<FaceConsensus>,
    /// The model of the categories, with [`ConsensusMethod::DawidSkene`].
    pub dawid_skene: Option<DawidSkene>,
    /// The annotators' weights for valence and for arousal, with [`ConsensusMethod::WeightedMean`].
    pub weights: Option<(WeightedMean, WeightedMean)>,
}

/// One face's consensus.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceConsensus {
    /// Which face.
    pub face: i64,
    /// Category, valence and arousal.
    pub consensus: Consensus,
    /// Probability of each of the 11 categories, by the ordinary votes alone (an adjudication changes it nowhere): the
    /// posterior of Dawid and Skene, else the votes' shares; none without a vote on the category.
    pub distribution: Option<[f64; 11]>,
}

/// Forms the consensus of all faces. An annotator's several ordinary votes on a face count once, the last; of
/// adjudications the last in the order given decides.
pub fn form_consensus(votes: &[FaceVote], method: ConsensusMethod) -> ConsensusResult {
    let faces = by_face(votes);
    let ordinary = || {
        let all =
            faces.iter().flat_map(|(face, votes)| votes.iter().map(move |&(annotator, vote)| (*face, annotator, vote)));
        all.filter(|(_, _, vote)| vote.is_ordinary())
    };
    let dawid_skene = match method {
        ConsensusMethod::DawidSkene(options) => {
            let answers = ordinary().filter_map(|(face, j, vote)| Some((face, j, vote.expression?.index() as Class)));
            Some(dawid_skene(answers.collect(), &options))
        }
        ConsensusMethod::Majority | ConsensusMethod::SoftLabel(_) | ConsensusMethod::WeightedMean(_) => None,
    };
    let weights = match method {
        ConsensusMethod::WeightedMean(options) => {
            let valences = ordinary().filter_map(|(face, j, vote)| Some((face, j, f64::from(vote.valence?.value()))));
            let arousals = ordinary().filter_map(|(face, j, vote)| Some((face, j, f64::from(vote.arousal?.value()))));
            Some((weighted_mean_of(valences.collect(), &options), weighted_mean_of(arousals.collect(), &options)))
        }
        ConsensusMethod::Majority | ConsensusMethod::SoftLabel(_) | ConsensusMethod::DawidSkene(_) => None,
    };
    let smoothing = match method {
        ConsensusMethod::SoftLabel(smoothing) => smoothing,
        ConsensusMethod::Majority | ConsensusMethod::DawidSkene(_) | ConsensusMethod::WeightedMean(_) => 0.0,
    };
    let of_face = |(face, votes): &(i64, Vec<(i64, Vote)>)| {
        let votes: Vec<Vote> = votes.iter().map(|&(_, vote)| vote).collect();
        let by_mean = majority(&votes);
        let mut opinion = Opinion::of(&votes);
        let mut distribution = soft_label(&vote_counts(&votes), smoothing).filter(|_| by_mean.n > 0);
        if let Some(model) = &dawid_skene
            && let Ok(face_idx) = model.faces.binary_search(face)
        {
            opinion.expression = model.most_probable(face_idx).and_then(|class| Expression::from_index(class.into()));
            let mut shares = [0.0; 11];
            for (&class, &share) in model.classes.iter().zip(model.posterior(face_idx)) {
                shares[usize::from(class)] = share;
            }
            distribution = Some(shares);
        }
        if let Some((valences, arousals)) = &weights {
            (opinion.valence, opinion.arousal) = (valences.mean_of(*face), arousals.mean_of(*face));
        }
        FaceConsensus { face: *face, consensus: settle(&votes, opinion), distribution }
    };
    ConsensusResult { method, faces: faces.iter().map(of_face).collect(), dawid_skene, weights }
}

/// Each face's votes in the order given, by ascending face; of an annotator's ordinary votes only the last.
fn by_face(votes: &[FaceVote]) -> Vec<(i64, Vec<(i64, Vote)>)> {
    let mut sorted = votes.to_vec();
    sorted.sort_by_key(|vote| vote.face);
    let last_of_each = |of_face: &[FaceVote]| {
        let mut kept: Vec<(i64, Vote)> = Vec::with_capacity(of_face.len());
        for &FaceVote { annotator, vote, .. } in of_face {
            if vote.is_ordinary() {
                kept.retain(|&(other, earlier)| other != annotator || !earlier.is_ordinary());
            }
            kept.push((annotator, vote));
        }
        (of_face[0].face, kept)
    };
    sorted.chunk_by(|a, b| a.face == b.face).map(last_of_each).collect()
}

#[cfg(test)]
mod tests {
    use affectory_core::Valence;

    use super::*;

    fn vote(face: i64, annotator: i64, expression: Expression, valence: f32) -> FaceVote {
        let valence = Some(Valence::new(valence).unwrap());
        FaceVote { face, annotator, vote: Vote { expression: Some(expression), valence, ..Vote::default() } }
    }

    #[test]
    fn methods_differ_in_what_they_make_of_the_votes_and_not_in_what_an_adjudication_does() {
        use Expression::{Happy, Neutral, Sad};
        // 1 and 2 know; 3 says neutral and 0.9 whatever there is.
        let knows = |face: i64| if face % 2 == 0 { (Happy, 0.6) } else { (Sad, -0.6) };
        let of_face = |face: i64| {
            let (expression, valence) = knows(face);
            [vote(face, 1, expression, valence), vote(face, 2, expression, valence), vote(face, 3, Neutral, 0.9)]
        };
        let mut votes: Vec<FaceVote> = (0..40).flat_map(of_face).collect();
        votes.extend([vote(40, 1, Happy, 0.0), vote(40, 3, Neutral, 0.9)]);
        let mut adjudication = vote(0, 9, Sad, -1.0);
        adjudication.vote.is_adjudication = true;
        votes.push(adjudication);

        let majority = form_consensus(&votes, ConsensusMethod::Majority);
        let model = form_consensus(&votes, ConsensusMethod::DawidSkene(DawidSkeneOptions::default()));
        let weighted = form_consensus(&votes, ConsensusMethod::WeightedMean(WeightedMeanOptions::default()));
        assert_eq!(majority.faces[40].consensus.expression, None);
        assert_eq!(model.faces[40].consensus.expression, Some(Happy));
        assert!((majority.faces[2].consensus.valence.unwrap().value() - 0.7).abs() < 1e-6);
        assert!((weighted.faces[2].consensus.valence.unwrap().value() - 0.6).abs() < 0.01);
        for result in [&majority, &model, &weighted] {
            assert_eq!(result.faces.len(), 41);
            let first = result.faces[0].consensus;
            assert_eq!((first.expression, first.valence.map(Valence::value)), (Some(Sad), Some(-1.0)));
            assert_eq!((first.n, first.agreement), (3, Some(0.0)));
        }
        let smoothed = form_consensus(&votes, ConsensusMethod::SoftLabel(1.0));
        assert_eq!(
            smoothed.faces[40].distribution.map(|shares| (shares[0], shares[2])),
            Some((2.0 / 13.0, 1.0 / 13.0))
        );
    }

    #[test]
    fn an_annotator_votes_once_on_a_face() {
        let votes =
            [vote(1, 1, Expression::Fear, 0.0), vote(1, 2, Expression::Sad, 0.0), vote(1, 1, Expression::Sad, 0.0)];
        let found = form_consensus(&votes, ConsensusMethod::Majority).faces[0].consensus;
        assert_eq!((found.expression, found.n, found.agreement), (Some(Expression::Sad), 2, Some(1.0)));
    }
}
