//! Which answers belong to one face, and by whom are they?

/// One answer of one kind: (face, annotator, value).
pub(crate) type Answer<T> = (i64, i64, T);

/// Answers face by face, annotators numbered from 0 by ascending id: flat, and the same for any order of the rows.
pub(crate) struct Answers<T> {
    /// Ids of the faces, ascending.
    pub faces: Vec<i64>,
    /// Ids of the annotators, ascending.
    pub annotators: Vec<i64>,
    /// (annotator's number, value), faces one after the other, a face's annotators ascending.
    given: Vec<(u32, T)>,
    /// Where in `given` each face ends.
    ends: Vec<usize>,
}

impl<T: Copy + Send> Answers<T> {
    /// Of an annotator's several answers for a face the last counts.
    pub fn new(mut answers: Vec<Answer<T>>) -> Self {
        let key = |&(face, annotator, _): &Answer<T>| (face, annotator);
        // Stable sorts, so that the last of an annotator's answers stays the last; in two steps, as what comes from a
        // catalogue is by face already.
        answers.sort_by_key(|&(face, _, _)| face);
        for of_face in answers.chunk_by_mut(|a, b| a.0 == b.0) {
            of_face.sort_by_key(|&(_, annotator, _)| annotator);
        }
        answers.dedup_by(|later, kept| {
            let is_same = key(later) == key(kept);
            if is_same {
                *kept = *later;
            }
            is_same
        });
        let annotators = distinct(answers.iter().map(|&(_, annotator, _)| annotator));
        let number = |id: i64| annotators.partition_point(|&other| other < id) as u32;
        let given = answers.iter().map(|&(_, annotator, value)| (number(annotator), value)).collect();
        let (mut faces, mut ends) = (Vec::new(), Vec::new());
        for of_face in answers.chunk_by(|a, b| a.0 == b.0) {
            faces.push(of_face[0].0);
            ends.push(ends.last().unwrap_or(&0) + of_face.len());
        }
        Self { faces, annotators, given, ends }
    }

    /// Face by face, in the order of `faces`.
    pub fn by_face(&self) -> impl Iterator<Item = &[(u32, T)]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.given[start..end])
    }

    /// All answers, face by face.
    pub fn given(&self) -> &[(u32, T)] {
        &self.given
    }
}

/// Ascending, each once.
pub(crate) fn distinct(ids: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut ids: Vec<i64> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
