//! Two producers at once, 50 times over HTTP, on an S3 server within the process.

use cenote_store::env::Env;
use cenote_testing::s3_server::S3Server;

use crate::racing::{Outcome, check, race};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_producers_race_50_times_over_http() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = S3Server::start(folder.path()).await.expect("the server starts");
    let mut rivals_met = 0;
    for round in 0..50 {
        let storage = server.storage(&format!("races/{round}")).await.expect("it opens");
        let env = Env::system();
        let racer = |name: &'static str| env.spawn(race(storage.clone(), env.clone(), name));
        let (one, two) = (racer("one"), racer("two"));
        let mut outcomes: Vec<Outcome> = one.await.expect("it does not panic");
        outcomes.extend(two.await.expect("it does not panic"));
        rivals_met += usize::from(outcomes.iter().any(|outcome| !outcome.committed));
        check(&storage, &env, &outcomes, &format!("round {round}: {outcomes:?}")).await;
    }
    assert!(rivals_met > 5, "the rivals met in {rivals_met} of 50 rounds only");
}
