//! How many candidates has each host?

/// The sizes of `n_hosts` hosts, the largest first, by Zipf's law: the host of rank r has a share that falls as r to the
/// power of -`exponent` (0: all equal). They add up to `n_candidates`; hosts that would have less than one are left out.
///
/// ```
/// // 1, 1/2 and 1/3 of eleven sixths.
/// assert_eq!(affectory_capacity::host_sizes(110, 3, 1.0), [60, 30, 20]);
/// assert_eq!(affectory_capacity::host_sizes(9, 3, 0.0), [3, 3, 3]);
/// ```
pub fn host_sizes(n_candidates: u64, n_hosts: u64, exponent: f64) -> Vec<u64> {
    let share = |rank: u64| (rank as f64).powf(-exponent);
    let whole: f64 = (1..=n_hosts).map(share).sum();
    let (mut reached, mut given) = (0.0, 0);
    let mut sizes: Vec<u64> = (1..=n_hosts)
        .map(|rank| {
            // Of the running sum, so that what rounding takes from one host the next one gets.
            reached += share(rank);
            let until = ((n_candidates as f64 * (reached / whole)).round() as u64).clamp(given, n_candidates);
            std::mem::replace(&mut given, until).abs_diff(until)
        })
        .filter(|size| *size > 0)
        .collect();
    // Rounding of the sum itself.
    if given < n_candidates {
        match sizes.first_mut() {
            Some(largest) => *largest += n_candidates - given,
            None => sizes.push(n_candidates),
        }
    }
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes
}
