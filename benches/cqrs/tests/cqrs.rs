//! Every strategy becomes right, and every fault ends as expected, on small embedded parts.

use std::sync::Mutex;
use std::time::Duration;

use cenote_bench_cqrs::Answer;
use cenote_bench_cqrs::domain::World;
use cenote_bench_cqrs::faults::{self, Fault, Outcome, Plan, Verdict};
use cenote_bench_cqrs::settings::Settings;
use cenote_bench_cqrs::strategy::{Stage, Strategy, WriteKind};

/// Folders that live as long as the test.
#[derive(Default)]
struct Folders(Mutex<Vec<tempfile::TempDir>>);

impl Folders {
    fn stage(&self, world: World, settings: Settings) -> Answer<Stage> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().to_owned();
        self.0.lock().unwrap().push(folder);
        Ok(Stage::embedded(path, world, settings))
    }
}

const PLAN: Plan = Plan { at_a_time: 8, patience: Duration::from_mins(1), ..Plan::QUICK };

async fn gets_there(strategy: Strategy) {
    let (folders, world) = (Folders::default(), World::new(300, 20, 7));
    let stage = folders.stage(world.clone(), Settings::BRISK).unwrap();
    let running = strategy.start(&stage).await.unwrap();
    assert_eq!(faults::differences(&*running, &world, 1).await.unwrap(), [], "{} is filled", strategy.name());
    let mut done = 0;
    for command in world.commands(0).take(400) {
        done += u32::from(running.execute(&command).await.is_ok());
    }
    assert!((350..400).contains(&done), "{done} of 400: some break rules");
    let settled = faults::settle(&*running, PLAN.patience).await.unwrap();
    assert!(settled, "{}: {:?}", strategy.name(), running.reading().await.unwrap());
    let wrong = faults::differences(&*running, &world, 1).await.unwrap();
    assert!(wrong.is_empty(), "{}: {}", strategy.name(), wrong[0]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_strategy_gets_there() {
    for strategy in Strategy::ALL {
        // Polling every ten seconds would only make the test longer.
        if strategy.name() != "cenote-update-s3-10s" {
            gets_there(strategy).await;
        }
    }
}

/// Whether a strategy stays wrong after a fault; this does not depend on how busy the machine is.
fn expected(strategy: &str, fault: Fault) -> bool {
    match (strategy, fault) {
        ("async", Fault::BrokerDown | Fault::ServiceKilled) => true,
        // A strategy that learns of changes from commands does not see a migration, and neither does `cenote-update`.
        (_, Fault::FieldAdded) => {
            ["sync", "async", "outbox", "outbox-near-events", "hybrid", "cenote-update"].contains(&strategy)
        }
        _ => false,
    }
}

async fn run_faults(strategies: &[Strategy]) -> Vec<Outcome> {
    let folders = Folders::default();
    let stage = |world, settings| folders.stage(world, settings);
    let outcomes = faults::run_all(strategies, WriteKind::Sqlite, &PLAN, &stage, &|_| {}).await;
    let (outcomes, failed): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert!(failed.is_empty(), "{failed:?}");
    let outcomes: Vec<Outcome> = outcomes.into_iter().flatten().collect();
    let mut wrong = Vec::new();
    for outcome in &outcomes {
        let stays_wrong = outcome.verdict == Verdict::StaysWrong;
        let is_expected = stays_wrong == expected(&outcome.system, outcome.fault);
        // A busy machine executes fewer; with hardly any, the run would show nothing.
        if !is_expected || outcome.repaired == faults::Repair::Failed || outcome.commands < 20 {
            wrong.push(outcome);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    outcomes
}

fn of<'a>(outcomes: &'a [Outcome], system: &str, fault: Fault) -> &'a Outcome {
    outcomes.iter().find(|outcome| outcome.system == system && outcome.fault == fault).expect("it was run")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_driven_strategies_under_every_fault() {
    use cenote_bench_cqrs::metrics::Alarm;
    let strategies: Vec<_> = faults::usual().into_iter().filter(|strategy| !strategy.is_cenote()).collect();
    let outcomes = run_faults(&strategies).await;
    // The alarms that show a loss.
    assert!(of(&outcomes, "async", Fault::BrokerDown).noticed.contains(&Alarm::FailedEvents));
    assert!(of(&outcomes, "outbox", Fault::Poison).noticed.contains(&Alarm::DeadLetters));
    assert!(of(&outcomes, "outbox", Fault::SlowProjector).noticed.contains(&Alarm::Staleness));
    assert!(of(&outcomes, "outbox", Fault::RelayKilled).noticed.contains(&Alarm::Restarts));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_under_every_fault() {
    use cenote_bench_cqrs::strategy::Location;
    let strategies = [Strategy::CenoteCycle(Location::Files), Strategy::CenoteUpdate(Location::Files)];
    run_faults(&strategies).await;
}
