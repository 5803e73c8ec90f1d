//! Which things belong together, when only pairs are known?

/// Groups of `0..n` that grow by joining (Tarjan's disjoint sets, with path halving). The smallest member names its
/// group, so names do not depend on the order of joins.
#[derive(Debug, Clone)]
pub struct DisjointSets(Vec<usize>);

impl DisjointSets {
    /// `n` groups of one.
    pub fn new(n: usize) -> Self {
        DisjointSets((0..n).collect())
    }

    /// The smallest member of the group of `member`, which must be below `n`.
    pub fn find(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    /// Makes the groups of two members one.
    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.find(a), self.find(b));
        self.0[a.max(b)] = a.min(b);
    }
}
