//! The scripts: what happens, in order, for each fault.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use cenote_testing::faults::{Fault as StoreFault, Moment, RequestKind, Rule};

use super::audit::settle;
use super::run::{Load, Plan};
use super::{Fault, Repair};
use crate::Answer;
use crate::clock::{self, now, wall};
use crate::domain::{Key, Query, Reference};
use crate::metrics::Reading;
use crate::points::{Point, Points};
use crate::strategy::Running;
use crate::strategy::cenote::{Cenote, records};

/// The result of a script.
#[derive(Default)]
pub(super) struct ScriptResult {
    /// What repaired what the script broke, if a person had to.
    pub(super) repair: Option<Repair>,
    pub(super) note: Option<String>,
}

/// How long a step of a script lasts, while commands are executed.
const BEAT: Duration = Duration::from_millis(250);

/// Plays the fault's script.
pub(super) async fn play(
    fault: Fault,
    running: &Arc<dyn Running>,
    load: &Load,
    plan: &Plan,
    reference: &Reference,
) -> Answer<ScriptResult> {
    let points = Arc::clone(running.points());
    match fault {
        Fault::BrokerDown => {
            let before = points.refused();
            switch(&points.broker_down, plan.outage).await;
            took_place(points.refused() - before, "calls were refused")
        }
        Fault::Duplicates => {
            points.watch_deliveries();
            switch(&points.duplicate, BEAT * 2).await;
            until("a message to come twice", plan.patience, || points.disorder().twice > 0).await?;
            took_place(points.disorder().twice, "deliveries came again")
        }
        Fault::Reordering => reorder(&points, load, plan).await,
        Fault::ServiceKilled => die(&**running, Point::CommittedNotPublished).await,
        Fault::RelayKilled => die(&**running, Point::PublishedNotMarked).await,
        Fault::ProjectorKilled => {
            die(&**running, Point::ReceivedNotApplied).await?;
            die(&**running, Point::AppliedNotAcked).await?;
            let before = running.reading().await?.restarts;
            running.kill("projector");
            grows(&**running, plan, "the projector to be started again", before, |reading| reading.restarts).await?;
            pass(BEAT).await
        }
        Fault::Poison => {
            let before = running.reading().await?.dead_letters;
            if !running.poison(Key::Product(1)).await? {
                return Err("there is no place for a message that no reader can decode".into());
            }
            grows(&**running, plan, "a dead letter", before, |reading| reading.dead_letters).await?;
            pass(BEAT).await
        }
        Fault::StoreRestarted | Fault::ReaderKilled => restart(&**running).await,
        Fault::SlowProjector => slow(&**running, load, plan).await,
        Fault::FieldAdded => {
            // Readers first, as a careful team deploys: every reader of the field knows it.
            running.deploy().await?;
            clock::sleep(BEAT * 2).await;
            running.migrate().await?;
            let weighed = running.truth().await?.answer(Query::Product(1), reference).products;
            let weighed = weighed.iter().filter(|product| product.weight_grams.is_some()).count();
            took_place(weighed as u64, "product that was looked at has the field")?;
            pass(BEAT).await
        }
        Fault::Corrupted => corrupt(&**running, load, reference).await,
        Fault::Replay => replay(&**running, load, plan).await,
        Fault::PublisherKilled => kill_publisher(&**running, plan).await,
        Fault::TwoPublishers => two_publishers(cenote(&**running)?, plan).await,
        Fault::ObjectStoreDown => object_store_down(cenote(&**running)?, plan).await,
        Fault::DamagedBytes => damage(cenote(&**running)?, plan).await,
        Fault::BadVersionRefused => refused(&**running, plan).await,
        Fault::BadVersionRolledBack => rolled_back(&**running, plan).await,
    }
}

fn cenote(running: &dyn Running) -> Answer<&Cenote> {
    running.cenote().ok_or_else(|| "this fault is for the engine".into())
}

async fn pass(time: Duration) -> Answer<ScriptResult> {
    clock::sleep(time).await;
    Ok(ScriptResult::default())
}

fn noted(note: String) -> ScriptResult {
    ScriptResult { note: Some(note), ..ScriptResult::default() }
}

/// Checks that the fault took place: without it, the run would show nothing.
fn took_place(count: u64, what: &str) -> Answer<ScriptResult> {
    if count == 0 {
        Err(format!("the fault did not take place: no {what}").into())
    } else {
        Ok(noted(format!("{count} {what}")))
    }
}

/// On for a while, then off.
async fn switch(what: &AtomicBool, time: Duration) {
    what.store(true, Relaxed);
    clock::sleep(time).await;
    what.store(false, Relaxed);
}

/// Waits for a metric to rise.
async fn grows(
    running: &dyn Running,
    plan: &Plan,
    what: &str,
    before: u64,
    metric: impl Fn(&Reading) -> u64,
) -> Answer<()> {
    let began = now();
    while metric(&running.reading().await?) <= before {
        if began.elapsed() > plan.patience {
            return Err(format!("the script waited in vain for {what}").into());
        }
        clock::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Restarts what answers readers, and meanwhile asks for what no cache holds: a product that does not exist.
async fn restart(running: &dyn Running) -> Answer<ScriptResult> {
    let mut unanswered = 0;
    let asking = async {
        loop {
            let asked = running.queries().collect(Query::Product(i64::MAX as u64)).await;
            unanswered += u64::from(asked.is_err());
            clock::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        biased;
        restarted = running.restart_reader() => restarted?,
        () = asking => {}
    }
    clock::sleep(BEAT).await;
    took_place(unanswered, "questions were not answered while it was away")
}

/// Executes commands on few keys, so that there is an order within keys to break.
async fn reorder(points: &Points, load: &Load, plan: &Plan) -> Answer<ScriptResult> {
    points.watch_deliveries();
    points.reorder.store(true, Relaxed);
    let began = now();
    while points.disorder().late == 0 && began.elapsed() < plan.patience {
        load.same_keys().await;
    }
    clock::sleep(BEAT).await;
    points.reorder.store(false, Relaxed);
    took_place(points.disorder().late, "deliveries came after a newer one of their key")
}

/// A rival takes over from a publisher in the middle of its work, which continues until it is fenced.
async fn two_publishers(cenote: &Cenote, plan: &Plan) -> Answer<ScriptResult> {
    let before = cenote.taken();
    cenote.publish_as("rival");
    until("the rival to take the log", plan.patience, || cenote.taken() > before).await?;
    until("a publisher to be fenced", plan.patience, || cenote.fenced() > 0).await?;
    let newest = cenote.published();
    until("the other one's next version", plan.patience, || cenote.published() > newest).await?;
    clock::sleep(BEAT).await;
    let (fenced, versions) = (cenote.fenced(), cenote.published().0 - newest.0);
    Ok(noted(format!("{fenced} was fenced while it continued; versions of the other one since: {versions}")))
}

/// Waits for something that must happen.
async fn until(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) -> Answer<()> {
    let began = now();
    while !is_so() {
        if began.elapsed() > patience {
            return Err(format!("the script waited in vain for {what}").into());
        }
        clock::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(30);

async fn die(running: &dyn Running, point: Point) -> Answer<ScriptResult> {
    running.points().arm(point, 1);
    until("a death", PATIENCE, || !running.points().is_armed(point)).await?;
    pass(BEAT / 2).await
}

async fn slow(running: &dyn Running, load: &Load, plan: &Plan) -> Answer<ScriptResult> {
    let micros = plan.outage.as_micros() as u64 / load.burst;
    running.points().slow_micros.store(micros, Relaxed);
    let (mut lag, began) = (0, now());
    // A busy machine may execute commands no faster than a slow projector applies them.
    while lag == 0 && began.elapsed() < plan.patience {
        load.burst().await;
        lag = running.reading().await?.lag_messages;
    }
    clock::sleep(plan.outage).await;
    running.points().slow_micros.store(0, Relaxed);
    took_place(lag, "messages were waiting right after the burst")
}

async fn corrupt(running: &dyn Running, load: &Load, reference: &Reference) -> Answer<ScriptResult> {
    // No command changes these two meanwhile, or it would repair them by chance.
    load.spare(true);
    clock::sleep(BEAT / 2).await;
    for key in [Key::Product(1), Key::Page(1)] {
        if !running.corrupt(key).await? {
            return Err(format!("{key:?} is not there to be corrupted").into());
        }
    }
    clock::sleep(BEAT * 2).await;
    let right = running.truth().await?.answer(Query::Product(1), reference);
    if running.queries().collect(Query::Product(1)).await? == right {
        return Err("the fault did not take place: product 1 is read as it should be".into());
    }
    let took = running.rebuild().await?;
    load.spare(false);
    let note = format!("the rebuild took {:.1} ms, next to the live one", took.as_secs_f64() * 1e3);
    Ok(ScriptResult { repair: Some(Repair::Person("rebuild")), note: Some(note) })
}

async fn replay(running: &dyn Running, load: &Load, plan: &Plan) -> Answer<ScriptResult> {
    // A strategy that sees rows and not causes sends no mails, and none again.
    if running.sends_mails() {
        grows(running, plan, "a mail", 0, |reading| reading.mails).await?;
    }
    load.pause(true);
    settle(running, plan.patience).await?;
    // The mailer has a separate queue.
    clock::sleep(BEAT).await;
    let mails = running.reading().await?.mails;
    let replayed = running.replay(wall().saturating_sub(3_600_000_000)).await?;
    settle(running, plan.patience).await?;
    clock::sleep(BEAT).await;
    let again = running.reading().await?.mails - mails;
    load.pause(false);
    let Some(replayed) = replayed.filter(|replayed| *replayed > 0) else {
        return Err("the fault did not take place: there was nothing to replay".into());
    };
    let note = format!("replayed: {replayed} messages; mails before: {mails}, sent again: {again}");
    if again > 0 {
        return Err(format!("a replay has sent mails: {note}").into());
    }
    Ok(ScriptResult { note: Some(note), ..ScriptResult::default() })
}

async fn kill_publisher(running: &dyn Running, plan: &Plan) -> Answer<ScriptResult> {
    let cenote = cenote(running)?;
    let before = cenote.publisher_requests.counts().total();
    let deaths = plan.deaths;
    for request in 0..deaths {
        let moment = if request % 2 == 0 { Moment::Before } else { Moment::After };
        let restarts = running.reading().await?.restarts;
        cenote.die_at(request, moment);
        let began = now();
        // Once at an arbitrary point, and once at the request.
        while running.reading().await?.restarts < restarts + 2 {
            if began.elapsed() > plan.patience {
                return Err(format!("the publisher did not reach request {request}").into());
            }
            clock::sleep(Duration::from_millis(10)).await;
        }
    }
    let requests = cenote.publisher_requests.counts().total() - before;
    let note = format!("died at each of its first {deaths} requests, before or after; {requests} requests in all");
    Ok(ScriptResult { note: Some(note), ..ScriptResult::default() })
}

async fn object_store_down(cenote: &Cenote, plan: &Plan) -> Answer<ScriptResult> {
    let stores = [&cenote.publisher_faults, &cenote.reader_faults];
    stores.into_iter().for_each(|store| store.add(Rule::new(StoreFault::Unavailable)));
    clock::sleep(plan.outage).await;
    let fired: u64 = stores.into_iter().map(cenote_testing::faults::FaultyStore::fired).sum();
    stores.into_iter().for_each(cenote_testing::faults::FaultyStore::clear);
    took_place(fired, "requests were refused")
}

async fn damage(cenote: &Cenote, plan: &Plan) -> Answer<ScriptResult> {
    let flip = |bit| Rule::new(StoreFault::FlipBit(bit)).on(RequestKind::Get).prefix("log/").times(2);
    [700, 1_600, 2_500].into_iter().for_each(|bit| cenote.reader_faults.add(flip(bit)));
    until("damage to be read", plan.patience, || cenote.reader_faults.fired() >= 6).await?;
    let fired = cenote.reader_faults.fired();
    cenote.reader_faults.clear();
    took_place(fired, "reads were damaged")
}

async fn refused(running: &dyn Running, plan: &Plan) -> Answer<ScriptResult> {
    let before = running.reading().await?.refused;
    running.points().bug_seen.store(true, Relaxed);
    let began = now();
    while running.reading().await?.refused == before {
        if began.elapsed() > plan.patience {
            return Err("no validator refused prices of zero".into());
        }
        clock::sleep(Duration::from_millis(10)).await;
    }
    clock::sleep(BEAT).await;
    running.points().bug_seen.store(false, Relaxed);
    let refused = running.reading().await?.refused - before;
    let note = Some(format!("{refused} versions were refused"));
    Ok(ScriptResult { repair: Some(Repair::Person("fix the bug")), note })
}

async fn rolled_back(running: &dyn Running, plan: &Plan) -> Answer<ScriptResult> {
    let cenote = cenote(running)?;
    let good = cenote.published();
    running.points().bug_unseen.store(true, Relaxed);
    // A version that was on its way is not bad yet.
    let is_seen = || cenote.consumer().is_some_and(|consumer| consumer.with(records::shows_the_bug));
    until("readers to see a bad version", plan.patience, is_seen).await?;
    clock::sleep(BEAT).await;
    // The bug is fixed; readers roll back at once, and then get what has changed since.
    running.points().bug_unseen.store(false, Relaxed);
    let began = now();
    let again = cenote.republish(good).await?;
    let version = || cenote.consumer().map(|consumer| consumer.version());
    until("readers to roll back", plan.patience, || version().is_some_and(|version| version >= again)).await?;
    let back = began.elapsed();
    if is_seen() {
        return Err(format!("version {again} still shows what the bug has written").into());
    }
    running.rebuild().await?;
    let note = format!("rolled back {:.2} s after the decision; version {good} again as {again}", back.as_secs_f64());
    Ok(ScriptResult { repair: Some(Repair::Person("republish, then a cycle")), note: Some(note) })
}
