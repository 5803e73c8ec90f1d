//! How do many overlapping candidates become few? Corners, overlap, suppression, as MTCNN counts them.

/// A candidate by its corners, in the pixel counting of the original (the first pixel is 1 when it is cut out).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) right: f32,
    pub(crate) bottom: f32,
    pub(crate) score: f32,
}

/// How an overlap is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// Intersection over union.
    Union,
    /// Intersection over the smaller box, both counted in whole pixels: a box inside another one goes.
    Smaller,
}

impl Candidate {
    pub(crate) fn width(&self) -> f32 {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// Moves each edge by its share of the box's size, which is counted with `extra` pixels more.
    pub(crate) fn moved(&self, shifts: [f32; 4], extra: f32) -> Self {
        let (width, height) = (self.width() + extra, self.height() + extra);
        Self {
            left: self.left + shifts[0] * width,
            top: self.top + shifts[1] * height,
            right: self.right + shifts[2] * width,
            bottom: self.bottom + shifts[3] * height,
            score: self.score,
        }
    }

    /// The square around the same centre with the longer side.
    pub(crate) fn squared(&self) -> Self {
        let (width, height) = (self.width(), self.height());
        let side = width.max(height);
        let left = self.left + width * 0.5 - side * 0.5;
        let top = self.top + height * 0.5 - side * 0.5;
        Self { left, top, right: left + side, bottom: top + side, score: self.score }
    }

    fn overlap(&self, other: &Self, how: Overlap) -> f32 {
        let extra = if how == Overlap::Smaller { 1.0 } else { 0.0 };
        let area = |c: &Self| (c.width() + extra) * (c.height() + extra);
        let width = (self.right.min(other.right) - self.left.max(other.left) + extra).max(0.0);
        let height = (self.bottom.min(other.bottom) - self.top.max(other.top) + extra).max(0.0);
        let shared = width * height;
        let (a, b) = (area(self), area(other));
        match how {
            Overlap::Union => shared / (a + b - shared),
            Overlap::Smaller => shared / a.min(b),
        }
    }
}

/// The places of those that no better one overlaps by more than `limit`, the best first.
pub(crate) fn suppress(candidates: &[Candidate], limit: f32, how: Overlap) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| candidates[*b].score.total_cmp(&candidates[*a].score));
    let mut kept: Vec<usize> = Vec::new();
    for at in order {
        if kept.iter().all(|k| candidates[*k].overlap(&candidates[at], how) <= limit) {
            kept.push(at);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(left: f32, side: f32, score: f32) -> Candidate {
        Candidate { left, top: 0.0, right: left + side, bottom: side, score }
    }

    #[test]
    fn of_two_that_overlap_the_better_stays() {
        let all = [candidate(0.0, 10.0, 0.7), candidate(1.0, 10.0, 0.9), candidate(30.0, 10.0, 0.8)];
        assert_eq!(suppress(&all, 0.5, Overlap::Union), [1, 2]);
        // Half of the width is shared: a third of the union, so both stay.
        assert_eq!(suppress(&[candidate(0.0, 10.0, 0.7), candidate(5.0, 10.0, 0.9)], 0.5, Overlap::Union), [1, 0]);
    }

    #[test]
    fn a_small_box_inside_a_large_one_goes_only_by_the_smaller_ones_count() {
        let all = [candidate(0.0, 40.0, 0.9), candidate(5.0, 10.0, 0.8)];
        assert_eq!(suppress(&all, 0.7, Overlap::Union).len(), 2);
        assert_eq!(suppress(&all, 0.7, Overlap::Smaller), [0]);
    }
}
