//! What a run costs at GitHub, and how targets are dealt out to parallel jobs.

use sha2::{Digest, Sha256};

use super::plan::{Action, Cost, Target, TargetPlan};
use crate::base::target::{EntryKind, Scope};

/// GitHub's points per minute (github-api.md §2.2).
pub const POINTS_PER_MINUTE: u64 = 900;
/// Points of a GET, HEAD or OPTIONS request.
pub const READ_POINTS: u64 = 1;
/// Points of a POST, PATCH, PUT or DELETE request.
pub const WRITE_POINTS: u64 = 5;
/// Writes between two saves of the ledger.
pub const WRITES_PER_SAVE: usize = 25;

/// What a run really used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    pub requests: u64,
    pub writes: u64,
    pub points: u64,
    pub retries: u64,
    /// Milliseconds that requests waited for GitHub's limits.
    pub waited_ms: u64,
}

/// What applying `targets` costs on top of the `reads` already made for the plan; `has_key` says of which targets
/// the public key is among them.
#[must_use]
pub fn estimate(
    targets: &[TargetPlan],
    reads: u64,
    has_key: &dyn Fn(&Target) -> bool,
    ledger: bool,
    concurrency: u64,
) -> Cost {
    let mut more_reads = 0;
    let mut writes: u64 = 0;
    let mut previous: Option<&Scope> = None;
    for target in targets {
        let writing = |kind| target.steps.iter().filter(move |step| step.kind == kind && step.action.writes());
        let seals = writing(EntryKind::Secret).any(|step| step.action != Action::Delete);
        let count = writing(EntryKind::Secret).count() + writing(EntryKind::Variable).count();
        if count == 0 {
            continue;
        }
        writes += count as u64;
        more_reads += u64::from(seals && !has_key(&target.target));
        if ledger {
            // Dates are read back once per target; the ledger is compared and saved per scope.
            more_reads += 1;
            let first_of_scope = previous != Some(&target.target.scope);
            // The last save, and one now and then while there is still much to write.
            let between = (count as u64 - 1).saturating_sub(2 * concurrency) / WRITES_PER_SAVE as u64;
            let saves = u64::from(first_of_scope) + between;
            more_reads += saves;
            writes += saves;
            previous = Some(&target.target.scope);
        }
    }
    let reads = reads + more_reads;
    let points = reads * READ_POINTS + writes * WRITE_POINTS;
    Cost { requests: reads + writes, writes, points, seconds: seconds(reads + writes, points, concurrency) }
}

/// A burst of one minute's points goes at full concurrency, the rest at the refill rate.
fn seconds(requests: u64, points: u64, concurrency: u64) -> u64 {
    if requests == 0 {
        return 0;
    }
    let refill = POINTS_PER_MINUTE / 60;
    let waiting = points.saturating_sub(POINTS_PER_MINUTE).div_ceil(refill);
    // About 150 ms for a round trip to GitHub.
    let travelling = (requests * 150).div_ceil(concurrency.max(1) * 1000);
    waiting.max(travelling).max(1)
}

/// The shard, from 1 to `shards`, that a scope belongs to: stable, whatever else is in the plan.
#[must_use]
pub fn shard_of(scope: &Scope, shards: u64) -> u64 {
    let digest = Sha256::digest(scope.to_string().to_lowercase());
    let mut number = [0; 8];
    for (to, from) in number.iter_mut().zip(digest) {
        *to = from;
    }
    u64::from_be_bytes(number) % shards.max(1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shards_are_disjoint_complete_and_stable() {
        let scopes: Vec<Scope> =
            (0..500).map(|n| Scope::Repository(format!("payready/sophia-{n}").parse().unwrap())).collect();
        let mut sizes = [0; 7];
        for scope in &scopes {
            let shard = shard_of(scope, 7);
            assert!((1..=7).contains(&shard));
            assert_eq!(shard, shard_of(scope, 7));
            sizes[usize::try_from(shard).unwrap() - 1] += 1;
        }
        assert_eq!(sizes.iter().sum::<usize>(), 500);
        assert!(sizes.iter().all(|size| *size > 40), "{sizes:?}");
        // A name that must stay where it is: jobs of different versions share the work.
        assert_eq!(shard_of(&Scope::Repository("payready/sophia".parse().unwrap()), 4), 2);
    }

    fn any_scope() -> impl Strategy<Value = Scope> {
        let repository =
            || "[A-Za-z0-9-]{1,12}/[A-Za-z0-9._-]{1,20}x".prop_filter_map("a name", |name| name.parse().ok());
        prop_oneof![
            repository().prop_map(Scope::Repository),
            (repository(), "[ -~]{1,20}")
                .prop_map(|(repository, environment)| Scope::Environment { repository, environment }),
            "[A-Za-z0-9-]{1,20}".prop_map(Scope::Organization),
        ]
    }

    proptest! {
        #[test]
        fn every_scope_is_in_one_shard_whatever_else_there_is(
            scopes in prop::collection::vec(any_scope(), 1..40),
            shards in 1_u64..64,
        ) {
            let part = |index| scopes.iter().filter(move |scope| shard_of(scope, shards) == index);
            let dealt: usize = (1..=shards).map(|index| part(index).count()).sum();
            prop_assert_eq!(dealt, scopes.len());
            for scope in &scopes {
                // GitHub does not tell names apart by case, so no writer may.
                let shouted = match scope {
                    Scope::Repository(name) => Scope::Repository(name.to_string().to_uppercase().parse().unwrap()),
                    Scope::Environment { repository, environment } => Scope::Environment {
                        repository: repository.to_string().to_uppercase().parse().unwrap(),
                        environment: environment.to_uppercase(),
                    },
                    Scope::Organization(name) => Scope::Organization(name.to_uppercase()),
                };
                prop_assert_eq!(shard_of(scope, shards), shard_of(&shouted, shards));
            }
        }
    }

    #[test]
    fn a_burst_is_quick_and_the_rest_is_three_writes_a_second() {
        assert_eq!(seconds(0, 0, 16), 0);
        assert_eq!(seconds(180, 900, 16), 2);
        assert_eq!(seconds(360, 1800, 16), 60);
    }
}
