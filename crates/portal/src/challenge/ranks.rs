//! Which ranks do teams have, when some cannot be told apart?
//!
//! The rule: the team with the best score leads a group. Each team behind it is tested against it on the same images
//! (McNemar's mid-p for the accuracy, the paired bootstrap for other figures), the p-values are adjusted by Holm for all
//! of these tests, and the group goes on, in the order of the scores, up to the first team with an adjusted p-value below
//! 5 %. That team leads the next group, which is found among those that are left. All of a group have one rank, one more
//! than the number of teams in the groups before. So a shared rank says "cannot be told from the first of its group", and
//! not that any two of the group are alike.

use affectory_evaluate::holm;

/// Adjusted p-values below this tell teams apart.
const LEVEL: f64 = 0.05;

/// Where a team stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    /// From 1.
    pub rank: u32,
    /// Whether others share it.
    pub is_tied: bool,
}

/// Ranks of `n` teams, best score first; `p(leader, other)` is the p-value of there being no difference.
///
/// ```
/// use affectory_portal::challenge::ranks::ranks;
///
/// // The second cannot be told from the first, the third can; the fourth cannot be told from the third.
/// let p = |leader: usize, other: usize| if (leader, other) == (0, 1) || leader == 2 { 0.3 } else { 0.001 };
/// let found: Vec<(u32, bool)> = ranks(4, p).iter().map(|rank| (rank.rank, rank.is_tied)).collect();
/// assert_eq!(found, [(1, true), (1, true), (3, true), (3, true)]);
/// ```
pub fn ranks(n: usize, p: impl Fn(usize, usize) -> f64) -> Vec<Rank> {
    let mut found = Vec::with_capacity(n);
    while found.len() < n {
        let leader = found.len();
        let adjusted = holm(&(leader + 1..n).map(|other| p(leader, other)).collect::<Vec<_>>());
        let n_tied = adjusted.iter().take_while(|&&p| p >= LEVEL).count();
        let rank = Rank { rank: leader as u32 + 1, is_tied: n_tied > 0 };
        found.extend(std::iter::repeat_n(rank, n_tied + 1));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_adjusted_for_their_number() {
        let ranks_of = |n| ranks(n, |_, _| 0.02).iter().map(|rank| rank.rank).collect::<Vec<_>>();
        assert_eq!(ranks_of(3), [1, 2, 3], "two tests at 0.02 are 0.04");
        assert_eq!(ranks_of(4), [1, 1, 1, 1], "three tests at 0.02 are 0.06");
        assert_eq!(ranks(1, |_, _| 0.0), [Rank { rank: 1, is_tied: false }]);
        assert!(ranks(0, |_, _| 0.0).is_empty());
    }
}
