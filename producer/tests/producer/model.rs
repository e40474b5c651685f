//! Random cycles, updates, failures, republishings and restarts against plain maps.
//!
//! After each step the view equals the map, every index equals one built from the state (references against a full
//! recount), records kept their ordinals, and no ordinal was reused in the version that freed it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use cenote_state::ids::Version;
use cenote_state::keys::KeyRef;
use cenote_state::record::Key;
use proptest::prelude::*;

use super::*;

type Model = BTreeMap<u64, Movie>;

#[derive(Clone, Debug)]
enum Step {
    /// The whole dataset.
    Cycle(Model),
    /// Some changes, a record or a deletion each.
    Update(Vec<(u64, Option<Movie>)>),
    /// A cycle whose source fails at its end.
    FailedCycle(Model),
    /// A cycle that is dropped before it is done.
    DroppedCycle(Model),
    /// The n-th of the versions so far, as the newest.
    Republish(prop::sample::Index),
    /// A snapshot of the newest.
    Snapshot,
    /// The producer is closed, and another opens.
    Reopen,
}

/// Names, long enough that segments hold a few rows, so that there are many.
fn name(padding: usize, prefix: &'static str, of: u8) -> impl Strategy<Value = String> {
    (0..of).prop_map(move |number| format!("{prefix}{number}{}", "x".repeat(padding)))
}

fn actor(padding: usize) -> impl Strategy<Value = Actor> {
    let agency = proptest::option::of(name(padding, "city", 3).prop_map(|city| Agency { city }));
    (name(padding / 10, "actor", 4), agency).prop_map(|(name, agency)| Actor { name, agency })
}

fn any_movie(padding: usize) -> impl Strategy<Value = Movie> {
    let genres = proptest::collection::btree_set(name(padding, "genre", 5).prop_map(|name| Genre { name }), 0..4);
    let cast = proptest::collection::vec(actor(padding), 0..4);
    let roles = proptest::collection::btree_map("[a-c]{0,2}", actor(padding), 0..3);
    let sequels = proptest::collection::vec((0..30_u64).prop_map(Key::new), 0..3);
    let rating =
        proptest::option::of(prop_oneof![Just(1.5_f32), any::<f32>().prop_filter("compares", |f| !f.is_nan())]);
    let plain = (0..24_u64, name(padding, "title", 3), rating, name(0, "c", 3), name(padding, "plöt", 9));
    (plain, genres, cast, roles, sequels).prop_map(|(plain, genres, cast, roles, sequels)| {
        let (id, title, rating, country, plot) = plain;
        Movie { id, title, rating, country, genres, cast, roles, sequels, plot }
    })
}

fn model(padding: usize) -> impl Strategy<Value = Model> {
    let movies = proptest::collection::vec(any_movie(padding), 0..24);
    movies.prop_map(|movies| movies.into_iter().map(|movie| (movie.id, movie)).collect())
}

fn step(padding: usize) -> impl Strategy<Value = Step> {
    let change = (any_movie(padding), any::<bool>()).prop_map(|(movie, stays)| (movie.id, stays.then_some(movie)));
    prop_oneof![
        3 => model(padding).prop_map(Step::Cycle),
        6 => proptest::collection::vec(change, 0..8).prop_map(Step::Update),
        1 => model(padding).prop_map(Step::FailedCycle),
        1 => model(padding).prop_map(Step::DroppedCycle),
        2 => any::<prop::sample::Index>().prop_map(Step::Republish),
        1 => Just(Step::Snapshot),
        2 => Just(Step::Reopen),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Records of one size, or of a size that changes from step to step, so that tables are cut again.
    let padding = || prop_oneof![Just(0_usize), Just(3_000), Just(40_000)];
    let one_size = padding().prop_flat_map(|padding| proptest::collection::vec(step(padding), 1..14));
    prop_oneof![one_size, proptest::collection::vec(padding().prop_flat_map(step), 1..14)]
}

/// A producer, and what its dataset should hold.
struct Case {
    name: String,
    producer: Producer,
    now: Model,
    /// Every version, and what it should be.
    versions: Vec<(Version, Model)>,
    ordinals: BTreeMap<u64, u32>,
}

async fn open(name: &str) -> Producer {
    let producer = producer(name).snapshots(SnapshotPolicy::Manual).open().await.unwrap();
    producer.check_invariants();
    producer
}

impl Case {
    async fn new(name: String) -> Case {
        let producer = open(&name).await;
        let versions = vec![];
        Case { name, producer, now: Model::new(), versions, ordinals: BTreeMap::new() }
    }

    async fn step(&mut self, step: Step) {
        let before = self.live();
        match step {
            Step::Cycle(model) => {
                self.cycle(&model).await;
                self.now = model;
            }
            Step::Update(changes) => self.update(changes).await,
            Step::FailedCycle(model) => {
                let failed = self.producer.cycle(async |writer| {
                    model.values().try_for_each(|movie| writer.add(movie))?;
                    Err("the source broke".into())
                });
                assert!(failed.await.is_err());
            }
            Step::DroppedCycle(model) => {
                let cycle = self.producer.cycle(async |writer| {
                    model.values().try_for_each(|movie| writer.add(movie))?;
                    std::future::pending().await
                });
                assert!(futures::FutureExt::now_or_never(cycle).is_none());
            }
            Step::Republish(index) if !self.versions.is_empty() => {
                let (version, model) = index.get(&self.versions).clone();
                self.producer.republish(version).await.unwrap();
                self.now = model;
            }
            Step::Snapshot if self.producer.version() > Version::EMPTY => {
                self.producer.snapshot().await.unwrap();
            }
            Step::Reopen => {
                self.producer.close().await.unwrap();
                let digest = self.producer.committed_state().digest();
                self.producer = open(&self.name).await;
                assert_eq!(self.producer.committed_state().digest(), digest, "the chain leads to the same state");
            }
            Step::Republish(_) | Step::Snapshot => {}
        }
        self.check(&before);
    }

    async fn cycle(&mut self, model: &Model) {
        let filled = self.producer.cycle(async |writer| {
            // An empty model is meant to be one, whether it is the first or not.
            writer.allow_empty::<Movie>()?;
            writer.allow_empty::<super::Country>()?;
            Ok(model.values().try_for_each(|movie| writer.add(movie))?)
        });
        filled.await.unwrap();
    }

    async fn update(&mut self, changes: Vec<(u64, Option<Movie>)>) {
        let now = &mut self.now;
        let change = |update: &mut Update| {
            for (id, movie) in &changes {
                if let Some(movie) = movie {
                    update.upsert(movie)?;
                    now.insert(*id, movie.clone());
                } else {
                    let deleted = update.delete::<Movie>(*id)?;
                    assert_eq!(deleted, now.remove(id).is_some(), "delete says whether there was one");
                }
            }
            Ok(())
        };
        self.producer.update(change).await.unwrap();
    }

    fn live(&self) -> BTreeSet<u32> {
        self.ordinals.values().copied().collect()
    }

    fn check(&mut self, before: &BTreeSet<u32>) {
        self.producer.check_invariants();
        let view = self.producer.view();
        let found: Model = view.all::<Movie>().map(super::MovieRef::to_owned).map(|movie| (movie.id, movie)).collect();
        assert_eq!(found, self.now);
        let version = self.producer.version();
        if version > Version::EMPTY && self.versions.last().is_none_or(|(last, _)| *last < version) {
            self.versions.push((version, self.now.clone()));
        }
        let table = view.state().table(view.schema().find("Movie").unwrap());
        let ordinal = |id: &u64| table.find(KeyRef::Scalar(*id), view.state().tables()).unwrap().0;
        let ordinals: BTreeMap<u64, u32> = self.now.keys().map(|id| (*id, ordinal(id))).collect();
        for (id, ordinal) in &ordinals {
            match self.ordinals.get(id) {
                Some(old) => assert_eq!(old, ordinal, "a root keeps its ordinal until it is deleted"),
                None => assert!(!before.contains(ordinal), "a freed ordinal is reused from the next version only"),
            }
        }
        self.ordinals = ordinals;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// I6, I10's bookkeeping: whatever happens, the producer and its dataset are what the maps say.
    #[test]
    fn a_producer_agrees_with_maps(steps in steps()) {
        // Each run, shrinking ones too, has a separate dataset.
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let name = format!("model-{}", RUNS.fetch_add(1, Ordering::Relaxed));
        run(async {
            let mut case = Case::new(name).await;
            for step in steps {
                case.step(step).await;
            }
        });
    }
}
