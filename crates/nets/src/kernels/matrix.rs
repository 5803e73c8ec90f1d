//! How is one matrix multiplied by another? A checked door to the `gemm` crate, and the only `unsafe` in this crate.

use gemm::Parallelism;

/// A matrix inside a slice: element (row, column) lies at `row * row_stride + column * column_stride`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl Layout {
    /// Rows one after the other, without gaps.
    pub(super) fn dense(rows: usize, columns: usize) -> Self {
        Self { rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// Rows that begin `row_stride` apart.
    pub(super) fn strided(rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { rows, columns, row_stride, column_stride: 1 }
    }

    /// The same elements, rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, row_stride: self.column_stride, column_stride: self.row_stride }
    }

    /// Places a slice must have for all elements to lie in it.
    fn n_places(self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }
}

/// What becomes of what the product's place held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overwritten,
    AddedTo,
}

/// `out = left * right`, or `out += left * right`, on the calling thread.
///
/// # Panics
/// If the sizes do not fit each other or a slice is too short for its layout: an error of the caller's, never of a user's.
pub(super) fn multiply(
    (out, out_layout): (&mut [f32], Layout),
    place: Place,
    (left, left_layout): (&[f32], Layout),
    (right, right_layout): (&[f32], Layout),
) {
    assert_eq!(left_layout.columns, right_layout.rows, "inner sizes");
    assert_eq!((left_layout.rows, right_layout.columns), (out_layout.rows, out_layout.columns), "outer sizes");
    assert!(left.len() >= left_layout.n_places() && right.len() >= right_layout.n_places(), "factors in their slices");
    assert!(out.len() >= out_layout.n_places(), "product in its slice");
    let strides = |layout: Layout| (layout.column_stride as isize, layout.row_stride as isize);
    let (out_columns, out_rows) = strides(out_layout);
    let (left_columns, left_rows) = strides(left_layout);
    let (right_columns, right_rows) = strides(right_layout);
    #[expect(unsafe_code, reason = "gemm takes pointers; the assertions above are what it asks for")]
    // SAFETY: every element that the layouts name lies within its slice, `out` is borrowed for this call alone, and
    // the strides fit an isize because a slice's length does.
    unsafe {
        gemm::gemm(
            out_layout.rows,
            out_layout.columns,
            left_layout.columns,
            out.as_mut_ptr(),
            out_columns,
            out_rows,
            place == Place::AddedTo,
            left.as_ptr(),
            left_columns,
            left_rows,
            right.as_ptr(),
            right_columns,
            right_rows,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example_with_a_stride_and_a_transpose() {
        // [1 2; 3 4] * [5 6; 7 8] = [19 22; 43 50], the right one given by columns, the product in rows of three places.
        let mut out = [1.0; 6];
        let right = (&[5.0, 7.0, 6.0, 8.0][..], Layout::dense(2, 2).transposed());
        multiply(
            (&mut out, Layout::strided(2, 2, 3)),
            Place::AddedTo,
            (&[1.0, 2.0, 3.0, 4.0], Layout::dense(2, 2)),
            right,
        );
        assert_eq!(out, [20.0, 23.0, 1.0, 44.0, 51.0, 1.0]);
    }

    #[test]
    #[should_panic(expected = "product in its slice")]
    fn a_product_that_does_not_fit_is_refused() {
        let square = Layout::dense(2, 2);
        multiply((&mut [0.0; 3], square), Place::Overwritten, (&[0.0; 4], square), (&[0.0; 4], square));
    }
}
