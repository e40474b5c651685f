//! One fault on one strategy, from the start to the verdict; and many of them concurrently.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use futures::{StreamExt, stream};

use super::audit::{differences, settle};
use super::script::{self, ScriptResult};
use super::watch::{Seen, watch};
use super::{Fault, Outcome, Repair, Verdict};
use crate::Answer;
use crate::clock;
use crate::domain::{Command, CommandError, Commands, Difference, World};
use crate::settings::Settings;
use crate::strategy::{Running, Stage, Strategy, WriteKind};

/// How long a state that never was may be shown on a good day: if stock is projected sooner than the rest, both are shown
/// together.
const GLIMPSE: Duration = Duration::from_millis(150);

/// How faults are tried.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Products of the catalogue; pages are a fifteenth.
    pub products: u64,
    /// Between two commands.
    pub pace: Duration,
    /// How long an outage lasts.
    pub outage: Duration,
    /// How often a publisher is killed.
    pub deaths: usize,
    /// How long to wait for anything that must happen.
    pub patience: Duration,
    /// How many runs are concurrent: they mostly wait.
    pub at_a_time: usize,
}

impl Plan {
    /// A run takes seconds.
    pub const QUICK: Plan = Plan {
        products: 200,
        pace: Duration::from_millis(6),
        outage: Settings::BRISK.outage,
        deaths: 6,
        patience: Duration::from_secs(30),
        at_a_time: 8,
    };
    /// Outages take a minute.
    pub const FULL: Plan = Plan {
        products: 1_000,
        outage: Settings::FULL.outage,
        deaths: 12,
        patience: Duration::from_mins(3),
        at_a_time: 12,
        ..Plan::QUICK
    };
}

/// Makes the stage for a run: the parts that flags chose, in a separate folder.
pub type MakeStage<'a> = &'a (dyn Fn(World, Settings) -> Answer<Stage> + Sync);

/// All faults on all strategies that can have them on this write side; reports each outcome as it comes.
pub async fn run_all(
    strategies: &[Strategy],
    write: WriteKind,
    plan: &Plan,
    stage: MakeStage<'_>,
    report: &(dyn Fn(&Answer<Outcome>) + Sync),
) -> Vec<Answer<Outcome>> {
    let pairs = strategies.iter().flat_map(|strategy| Fault::ALL.map(|fault| (*strategy, fault)));
    let fit: Vec<_> = pairs.filter(|(strategy, fault)| fault.applies_to(*strategy, write).is_ok()).collect();
    let runs = fit.into_iter().map(|(strategy, fault)| async move {
        let outcome = run(strategy, fault, plan, stage).await;
        let outcome = outcome.map_err(|error| format!("{} / {}: {error}", strategy.name(), fault.name()).into());
        report(&outcome);
        outcome
    });
    stream::iter(runs).buffered(plan.at_a_time).collect().await
}

/// One fault on one strategy.
pub async fn run(strategy: Strategy, fault: Fault, plan: &Plan, stage: MakeStage<'_>) -> Answer<Outcome> {
    let world = World::new(plan.products, (plan.products / 15).max(5), 42);
    let stage = stage(world, Settings { outage: plan.outage, ..Settings::BRISK })?;
    let running = strategy.start(&stage).await?;
    let done = observe(strategy, fault, plan, &stage, &running).await;
    running.stop().await;
    done
}

async fn observe(
    strategy: Strategy,
    fault: Fault,
    plan: &Plan,
    stage: &Stage,
    running: &Arc<dyn Running>,
) -> Answer<Outcome> {
    let load = Load::start(running, &stage.world, plan);
    clock::sleep(Duration::from_millis(200)).await;
    let before = running.reading().await?;
    let stop = Arc::new(AtomicBool::new(false));
    let staleness_max = stage.settings.staleness_max;
    let watching = watch(Arc::clone(running), stage.world.clone(), before, staleness_max, Arc::clone(&stop));
    let watching = clock::spawn(watching);
    let result = script::play(fault, running, &load, plan, &stage.world.reference).await;
    clock::sleep(Duration::from_millis(200)).await;
    load.carry_on(plan.patience).await;
    let counted = load.stop().await;
    let result = result?;
    let settled = settle(&**running, plan.patience).await?;
    let wrong = differences(&**running, &stage.world, 1).await?;
    // One more look, so that the watch sees what has become right.
    clock::sleep(Duration::from_millis(60)).await;
    stop.store(true, Relaxed);
    let seen = watching.await?;
    let alive = staleness_max + running.interval() * 2;
    let mut outcome = judge(strategy, fault, stage, &seen, result, wrong.first(), alive);
    (outcome.commands, outcome.failed_commands) = counted;
    if !settled {
        outcome.note = Some(format!("queues never reported empty; {}", outcome.note.unwrap_or_default()));
    }
    if outcome.verdict == Verdict::StaysWrong {
        outcome.repaired = repair(&**running, &stage.world, plan).await?;
    }
    Ok(outcome)
}

fn judge(
    strategy: Strategy,
    fault: Fault,
    stage: &Stage,
    seen: &Seen,
    result: ScriptResult,
    wrong: Option<&Difference>,
    usual: Duration,
) -> Outcome {
    let verdict = match wrong {
        Some(_) => Verdict::StaysWrong,
        None if seen.stale.max(seen.unanswered) > usual || seen.wrong > GLIMPSE => Verdict::WrongForAWhile,
        None => Verdict::Right,
    };
    let repaired = match (verdict, result.repair) {
        (_, Some(repair)) => repair,
        (Verdict::Right, None) => Repair::NotNeeded,
        (_, None) => Repair::Itself,
    };
    Outcome {
        system: strategy.title(stage.write).to_owned(),
        fault,
        verdict,
        wrong_for_s: seen.stale.max(seen.wrong).max(seen.unanswered).as_secs_f64(),
        noticed: seen.alarms.clone(),
        repaired,
        row: wrong.map(ToString::to_string),
        note: result.note,
        commands: 0,
        failed_commands: 0,
    }
}

/// Tries what a person would try, mildest first; returns what helped.
async fn repair(running: &dyn Running, world: &World, plan: &Plan) -> Answer<Repair> {
    if running.redrive().await? > 0 {
        settle(running, plan.patience).await?;
        if differences(running, world, 1).await?.is_empty() {
            return Ok(Repair::Person("send the dead letters again"));
        }
    }
    running.rebuild().await?;
    settle(running, plan.patience).await?;
    let right = differences(running, world, 1).await?.is_empty();
    let done = if running.cenote().is_some() { "a cycle" } else { "rebuild" };
    Ok(if right { Repair::Person(done) } else { Repair::Failed })
}

/// The fewest commands of a run.
const COMMANDS_MIN: u64 = 20;

/// Commands that are executed while the script runs.
pub(super) struct Load {
    running: Arc<dyn Running>,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
    commands: Commands,
    /// The number of commands in a burst.
    pub(super) burst: u64,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    pause: AtomicBool,
    spare: AtomicBool,
    done: AtomicU64,
    failed: AtomicU64,
}

impl Load {
    fn start(running: &Arc<dyn Running>, world: &World, plan: &Plan) -> Load {
        let shared = Arc::<Shared>::default();
        let (own, sharing, pace) = (Arc::clone(running), Arc::clone(&shared), plan.pace);
        let mut commands = world.commands(0);
        let task = clock::spawn(async move {
            while !sharing.stop.load(Relaxed) {
                clock::sleep(pace).await;
                if !sharing.pause.load(Relaxed)
                    && let Some(command) = commands.next()
                {
                    sharing.carry_out(&*own, &command).await;
                }
            }
        });
        Load { running: Arc::clone(running), shared, task, commands: world.commands(1), burst: 300 }
    }

    /// Executes many at once.
    pub(super) async fn burst(&self) {
        let commands = self.commands.clone().take(self.burst as usize);
        let all = commands.map(|command| async move { self.shared.carry_out(&*self.running, &command).await });
        stream::iter(all).buffer_unordered(64).collect::<()>().await;
    }

    /// Executes many at once, on the same few products.
    pub(super) async fn same_keys(&self) {
        let price = |number: u64| Command::Price { id: 2 + number % 3, price_cents: 1_000 + number };
        let all = (0..30).map(|number| async move { self.shared.carry_out(&*self.running, &price(number)).await });
        stream::iter(all).buffer_unordered(16).collect::<()>().await;
    }

    /// Whether to leave product 1 and page 1 unchanged.
    pub(super) fn spare(&self, spare: bool) {
        self.shared.spare.store(spare, Relaxed);
    }

    /// Whether to pause.
    pub(super) fn pause(&self, pause: bool) {
        self.shared.pause.store(pause, Relaxed);
    }

    /// Waits until there were enough commands to have met the fault, however slow the machine is, or until `patience` ends.
    async fn carry_on(&self, patience: Duration) {
        let enough = || self.shared.done.load(Relaxed) >= COMMANDS_MIN;
        let _ = clock::timeout(patience, async {
            while !enough() {
                clock::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Stops; returns how many commands were acknowledged and how many failed.
    async fn stop(self) -> (u64, u64) {
        self.shared.stop.store(true, Relaxed);
        // It ends after the command under way.
        let _ = self.task.await;
        (self.shared.done.load(Relaxed), self.shared.failed.load(Relaxed))
    }
}

impl Shared {
    async fn carry_out(&self, running: &dyn Running, command: &Command) {
        use crate::domain::Key;
        if self.spare.load(Relaxed) && matches!(command.key(), Key::Product(1) | Key::Page(1)) {
            return;
        }
        match running.execute(command).await {
            Ok(_) => self.done.fetch_add(1, Relaxed),
            Err(CommandError::Rejected(_)) => 0,
            Err(CommandError::Failed(_)) => self.failed.fetch_add(1, Relaxed),
        };
    }
}
