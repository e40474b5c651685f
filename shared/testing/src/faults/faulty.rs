//! Fails as stores do: by script, call by call, or by chance, from a seed.
//!
//! A [`Rule`] selects requests (kind, prefix, the nth, how many) and names their fault; the first rule that selects a
//! request applies. [`Odds`] are for simulations. [`FaultyStore::fired`] counts faults, so that a test can check that its
//! fault happened.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use object_store::{Error, Extensions, PutResult, Result};

use super::intercept::{Call, Condition, Interceptor, Reply, RequestKind, Run, wrap};
use cenote_store::env::Env;
use cenote_store::storage::Storage;

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// It does not reach the store; the answer is 503.
    Unavailable,
    /// It does not reach the store; the answer is 403.
    Denied,
    /// It does not reach the store; the answer does not come in time.
    Timeout,
    /// It does not reach the disk, which is full.
    DiskFull,
    /// It does not reach the disk; the system answers with this error number.
    System(i32),
    /// It takes effect, and the answer is lost: a timeout.
    AnswerLost,
    /// The answer is a timeout, and the request takes effect this much later.
    LandsLater(Duration),
    /// A put-if-absent does not take effect, and the answer is 409: two writes met.
    Conflict,
    /// A put-if-absent does not take effect, and the answer is "already exists", which may be a lie.
    SaysExists,
    /// A put-if-absent takes effect, and the answer is "already exists", as after a retry that met its own first attempt.
    MeetsItself,
    /// A put-if-absent overwrites what is there, and the answer is success: the store ignores the condition, or a proxy drops
    /// the header.
    IgnoresCondition,
    /// A put-if-absent checks whether the object is there, and overwrites it this much later: the store is not atomic.
    ChecksFirst(Duration),
    /// A put-if-absent leaves what is there as it is, and the answer is success all the same.
    SaysCreated,
    /// A read gets at most this many bytes, and the object's size fits them.
    Truncate(usize),
    /// A read gets one bit wrong: this one, counted from the first byte that it reads.
    FlipBit(u64),
    /// A read of an existing object is answered with "not found".
    Missing,
    /// A read of a missing object is answered with 403, as S3 does without the permission to list.
    DeniedIfMissing,
    /// A put stores this one bit wrong, and the answer is success.
    Garble(u64),
    /// A list comes in another order, which this number decides.
    Shuffle(u64),
    /// It takes this much longer, and takes effect.
    Slow(Duration),
    /// It never answers and never takes effect.
    Hang,
}

/// Which requests get a fault. By default all.
#[derive(Clone, Debug)]
pub struct Rule {
    fault: Fault,
    kind: Option<RequestKind>,
    prefix: String,
    skip: u64,
    times: u64,
}

impl Rule {
    /// Applies to every request.
    #[must_use]
    pub fn new(fault: Fault) -> Rule {
        Rule { fault, kind: None, prefix: String::new(), skip: 0, times: u64::MAX }
    }

    /// Only requests of this kind.
    #[must_use]
    pub fn on(mut self, kind: RequestKind) -> Rule {
        self.kind = Some(kind);
        self
    }

    /// Only keys with this prefix.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Rule {
        self.prefix = prefix.into();
        self
    }

    /// Only the `nth` of the otherwise matching requests, from now on; the first is 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Rule {
        (self.skip, self.times) = (nth.saturating_sub(1), 1);
        self
    }

    /// Only this many of the matching requests (those after the `nth`, if that was set before).
    #[must_use]
    pub fn times(mut self, times: u64) -> Rule {
        self.times = times;
        self
    }

    /// Whether the rule selects this call; counts the call if it matches.
    fn picks(&mut self, call: &Call) -> bool {
        let fits = self.kind.is_none_or(|kind| kind == call.kind) && call.key.starts_with(&self.prefix);
        if !fits || self.times == 0 {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

/// How likely a request is to meet each fault, each from 0 to 1. A fault that does not fit a request spares it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Odds {
    /// [`Fault::Unavailable`].
    pub unavailable: f64,
    /// [`Fault::AnswerLost`], of writes.
    pub answer_lost: f64,
    /// [`Fault::LandsLater`], of puts; up to `longest` later.
    pub lands_later: f64,
    /// [`Fault::Conflict`], of puts-if-absent.
    pub conflict: f64,
    /// [`Fault::MeetsItself`], of puts-if-absent.
    pub meets_itself: f64,
    /// [`Fault::SaysExists`], of puts-if-absent.
    pub says_exists: f64,
    /// [`Fault::FlipBit`], of reads.
    pub flip_bit: f64,
    /// [`Fault::Truncate`], of reads.
    pub truncate: f64,
    /// [`Fault::Missing`], of reads. No supported store loses an acknowledged object; this shows what would happen.
    pub missing: f64,
    /// [`Fault::Shuffle`], of lists.
    pub shuffle: f64,
    /// [`Fault::Slow`], by up to `longest`.
    pub slow: f64,
    /// The longest wait.
    pub longest: Duration,
}

impl Odds {
    /// A bad day: one request in ten is slow, one in twenty fails visibly; reads return the right bytes.
    #[must_use]
    pub fn rough() -> Odds {
        Odds {
            unavailable: 0.05,
            answer_lost: 0.03,
            lands_later: 0.02,
            conflict: 0.02,
            meets_itself: 0.02,
            shuffle: 0.5,
            slow: 0.1,
            longest: Duration::from_mins(2),
            ..Odds::default()
        }
    }
}

/// Makes the storage that it wraps fail.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    env: Env,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    rules: Vec<Rule>,
    odds: Odds,
    fired: u64,
    delayed: u64,
}

impl FaultyStore {
    /// Fails nothing until a rule is added.
    #[must_use]
    pub fn new(env: Env) -> FaultyStore {
        FaultyStore { env, script: Arc::default() }
    }

    /// The same dataset, as this store shows it.
    #[must_use]
    pub fn wrap(&self, storage: &Storage) -> Storage {
        wrap(storage, self.clone())
    }

    /// Adds a rule, after those that are there.
    pub fn add(&self, rule: Rule) {
        self.script().rules.push(rule);
    }

    /// From now on also fails by chance; `Odds::default()` ends it.
    pub fn set_odds(&self, odds: Odds) {
        self.script().odds = odds;
    }

    /// Ends all faults. Delayed puts still take effect.
    pub fn clear(&self) {
        let mut script = self.script();
        (script.rules, script.odds) = (Vec::new(), Odds::default());
    }

    /// How many requests met a fault.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.script().fired
    }

    /// How many puts have yet to land.
    #[must_use]
    pub fn delayed(&self) -> u64 {
        self.script().delayed
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().expect("the script is not held across a panic")
    }

    /// The fault that this call meets.
    fn draw(&self, call: &Call) -> Option<Fault> {
        let mut script = self.script();
        let ruled = script.rules.iter_mut().find_map(|rule| rule.picks(call).then_some(rule.fault));
        let fault = ruled.or_else(|| script.odds.draw(call.kind, &self.env))?;
        script.fired += 1;
        Some(fault)
    }

    /// Runs the request in a separate task after `delay`; the caller gets a timeout at once.
    fn land_later(&self, delay: Duration, run: Run) {
        self.script().delayed += 1;
        let store = self.clone();
        let task = self.env.spawn(async move {
            store.env.sleep(delay).await;
            let _ = run.await;
            store.script().delayed -= 1;
        });
        drop(task);
    }
}

impl Odds {
    /// One draw decides, so that the odds of a request add up. No odds, no draw: other draws stay as they were.
    fn draw(&self, kind: RequestKind, env: &Env) -> Option<Fault> {
        if *self == Odds::default() {
            return None;
        }
        let mut chance = (env.random() >> 11) as f64 / (1_u64 << 53) as f64;
        let wait = env.jitter(self.longest / 2, 1.0);
        let put = matches!(kind, RequestKind::Put | RequestKind::Create | RequestKind::Complete);
        let (create, get) = (kind == RequestKind::Create, kind == RequestKind::Get);
        let faults = [
            (true, self.unavailable, Fault::Unavailable),
            (kind.is_write(), self.answer_lost, Fault::AnswerLost),
            (put, self.lands_later, Fault::LandsLater(wait)),
            (create, self.conflict, Fault::Conflict),
            (create, self.meets_itself, Fault::MeetsItself),
            (create, self.says_exists, Fault::SaysExists),
            (get, self.flip_bit, Fault::FlipBit(env.random())),
            (get, self.truncate, Fault::Truncate((env.random() % 4096) as usize)),
            (kind.is_read(), self.missing, Fault::Missing),
            (kind == RequestKind::List, self.shuffle, Fault::Shuffle(env.random())),
            (true, self.slow, Fault::Slow(wait)),
        ];
        for (_, odds, fault) in faults.into_iter().filter(|(fits, ..)| *fits) {
            if chance < odds {
                return Some(fault);
            }
            chance -= odds;
        }
        None
    }
}

#[async_trait]
impl Interceptor for FaultyStore {
    async fn intercept(&self, call: Call, run: Run) -> Result<Reply> {
        let Some(fault) = self.draw(&call) else { return run.await };
        match fault {
            Fault::Unavailable => Err(generic("status code: 503 Service Unavailable")),
            Fault::Denied => Err(Error::PermissionDenied { path: call.key, source: "status code: 403".into() }),
            Fault::Timeout => Err(timeout()),
            Fault::DiskFull => Err(generic(std::io::Error::from_raw_os_error(28))),
            Fault::System(number) => Err(generic(std::io::Error::from_raw_os_error(number))),
            Fault::AnswerLost => {
                let _ = run.await;
                Err(timeout())
            }
            Fault::LandsLater(delay) => {
                self.land_later(delay, run);
                Err(timeout())
            }
            Fault::Conflict => Err(exists(call.key, "status code: 409 Conflict")),
            Fault::SaysExists => Err(exists(call.key, "status code: 412 Precondition Failed")),
            Fault::MeetsItself => {
                run.await?;
                Err(exists(call.key, "status code: 412 Precondition Failed"))
            }
            Fault::IgnoresCondition => {
                call.condition(Condition::Ignored);
                run.await
            }
            Fault::ChecksFirst(wait) => {
                call.condition(Condition::CheckedFirst(self.env.clone(), wait));
                run.await
            }
            Fault::SaysCreated => match run.await {
                Err(Error::AlreadyExists { .. }) => {
                    Ok(Reply::Put(PutResult { e_tag: None, version: None, extensions: Extensions::default() }))
                }
                answer => answer,
            },
            Fault::Truncate(bytes) => Ok(damaged(run.await?, |body| body.truncate(bytes))),
            Fault::FlipBit(bit) => Ok(damaged(run.await?, |body| body.flip(bit))),
            Fault::Missing => Err(Error::NotFound { path: call.key, source: "status code: 404".into() }),
            Fault::DeniedIfMissing => run.await.map_err(|error| match error {
                Error::NotFound { path, .. } => Error::PermissionDenied { path, source: "status code: 403".into() },
                error => error,
            }),
            Fault::Garble(bit) => {
                call.garble(bit);
                run.await
            }
            Fault::Shuffle(seed) => Ok(shuffled(run.await?, seed)),
            Fault::Slow(delay) => {
                self.env.sleep(delay).await;
                run.await
            }
            Fault::Hang => {
                drop(run);
                std::future::pending().await
            }
        }
    }
}

fn damaged(mut reply: Reply, damage: impl FnOnce(&mut super::intercept::Body)) -> Reply {
    if let Reply::Got(body) = &mut reply {
        damage(body);
    }
    reply
}

fn shuffled(mut reply: Reply, seed: u64) -> Reply {
    if let Reply::Listed(listed) = &mut reply {
        let draws = Env::simulated(seed);
        for last in (1..listed.len()).rev() {
            listed.swap(last, (draws.random() % (last as u64 + 1)) as usize);
        }
    }
    reply
}

fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "faults", source: source.into() }
}

fn timeout() -> Error {
    generic(std::io::Error::from(std::io::ErrorKind::TimedOut))
}

fn exists(path: String, said: &str) -> Error {
    Error::AlreadyExists { path, source: said.into() }
}
