//! Faults of the store: odds of failing requests, objects that are missing or corrupt for a while, a missing newest entry, an
//! older copy that is put back.
//!
//! Rules: every damaged object is restored, so that recovery can be checked. Faults that no order of writes can survive, such
//! as an old entry that is lost for good, do not occur.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use bytes::Bytes;
use cenote_store::log::tail::read_hint;
use cenote_testing::faults::{Fault, Odds, RequestKind, Rule};
use futures::FutureExt;

use super::audit::{self, Audit};
use super::context::Context;
use super::model::Model;
use super::rng::Rng;
use super::tally::Outcome;

/// A missing or corrupt object, with its right bytes.
struct Damaged {
    name: String,
    bytes: Bytes,
}

/// A copy of the dataset, with what is known of it.
struct DatasetCopy {
    objects: Vec<(String, Bytes)>,
    audit: Audit,
    model: Model,
}

/// The current faults.
#[derive(Default)]
pub(crate) struct StoreFaults {
    copy: RefCell<Option<DatasetCopy>>,
    damaged: RefCell<Vec<Damaged>>,
    /// Whether the newest entry is missing; there are no other faults then.
    newest_entry_is_missing: Cell<bool>,
}

impl StoreFaults {
    pub(crate) fn newest_entry_is_missing(&self) -> bool {
        self.newest_entry_is_missing.get()
    }

    pub(crate) fn any(&self) -> bool {
        !self.damaged.borrow().is_empty()
    }

    /// Draws new odds of failing requests.
    pub(crate) fn set_odds(&self, context: &Context, rng: &Rng) {
        if self.newest_entry_is_missing() {
            return;
        }
        let rough = Odds { slow: 0.03, ..Odds::rough() };
        let (what, odds) = match rng.below(10) {
            0..4 => ("calm", Odds::default()),
            4..7 => ("rough", rough),
            7 => ("out", Odds { unavailable: 0.8, ..rough }),
            _ => ("lying", Odds { flip_bit: 0.02, truncate: 0.02, missing: 0.02, says_exists: 0.02, ..rough }),
        };
        context.faults.set_odds(odds);
        let stale = if rng.percent(20) { 0.3 } else { 0.0 };
        context.stale.set(stale, rng.wait(Duration::from_secs(30)));
        context.trace(format!("the store is {what}"));
    }

    /// Flips a bit in the next snapshot that is put; the put succeeds.
    pub(crate) fn corrupt_next_snapshot(context: &Context, rng: &Rng) {
        context.faults.add(Rule::new(Fault::Garble(rng.draw())).on(RequestKind::Put).prefix("snapshots/").nth(1));
        context.count(Outcome::StoreDamaged);
        context.trace("the next snapshot will be corrupt".to_owned());
    }

    /// Removes or corrupts an object that a live entry names.
    pub(crate) fn damage_object(&self, context: &Context, rng: &Rng) {
        let mut audit = context.audit.borrow_mut();
        let is_ours = |name: &String| !name.starts_with("checkpoints/") && !audit.damaged.contains(name);
        let mut named: Vec<String> = audit.named().into_iter().filter(is_ours).collect();
        // Deltas are few, and a damaged one has more effects.
        let blobs: Vec<String> = named.iter().filter(|name| name.starts_with("blobs/")).cloned().collect();
        if !blobs.is_empty() && rng.percent(60) {
            named = blobs;
        }
        if named.is_empty() {
            return;
        }
        let name = rng.pick(&named).clone();
        let Some(bytes) = audit::read(&context.memory, &name) else { return };
        audit.damaged.insert(name.clone());
        let corrupt = rng.percent(50);
        if corrupt {
            let mut changed = bytes.to_vec();
            let at = rng.below(changed.len() as u64) as usize;
            changed[at] ^= 1 << rng.below(8);
            put(context, &name, changed.into());
        } else {
            delete(context, &name);
        }
        drop(audit);
        context.count(Outcome::StoreDamaged);
        context.trace(format!("{name} {}", if corrupt { "is corrupted" } else { "is removed" }));
        self.damaged.borrow_mut().push(Damaged { name, bytes });
    }

    /// Removes the newest entry if the hint names it, no put is under way, and nothing else is damaged; returns whether it
    /// did. There must be no writer.
    pub(crate) fn remove_newest_entry(&self, context: &Context) -> bool {
        let tail = context.audit.borrow().tail();
        let hint = read_hint(&context.memory).now_or_never().expect("memory answers at once");
        let is_hinted = hint.ok().flatten().is_some_and(|hint| hint.position.0 >= tail);
        if tail < 4 || !is_hinted || context.faults.delayed() > 0 || self.any() {
            return false;
        }
        let name = audit::name(tail);
        let Some(bytes) = audit::read(&context.memory, &name) else { return false };
        context.calm();
        delete(context, &name);
        context.audit.borrow_mut().damaged.insert(name.clone());
        context.count(Outcome::StoreDamaged);
        context.trace(format!("{name} is removed, the newest entry"));
        self.damaged.borrow_mut().push(Damaged { name, bytes });
        self.newest_entry_is_missing.set(true);
        true
    }

    /// Copies the dataset as it is, unless something is damaged.
    pub(crate) fn copy_dataset(&self, context: &Context) {
        if self.any() || context.audit.borrow().tail() < 4 {
            return;
        }
        context.read_log();
        let listed = context.memory.list("", None).now_or_never().expect("memory answers at once");
        let names = listed.expect("memory does not fail").into_iter().map(|listed| listed.name);
        let objects = names.filter_map(|name| audit::read(&context.memory, &name).map(|bytes| (name, bytes)));
        let copy = DatasetCopy {
            objects: objects.collect(),
            audit: context.audit.borrow().clone(),
            model: context.model.borrow().clone(),
        };
        *self.copy.borrow_mut() = Some(copy);
        context.trace("the dataset is copied".to_owned());
    }

    /// Puts the copy back in place of the dataset, which has grown since; returns whether it did. There must be no writer.
    pub(crate) fn restore_copy(&self, context: &Context) -> bool {
        let tail = context.audit.borrow().tail();
        let is_older = self.copy.borrow().as_ref().is_some_and(|copy| copy.audit.tail() < tail);
        if !is_older || self.any() || context.faults.delayed() > 0 {
            return false;
        }
        context.calm();
        let Some(copy) = self.copy.take() else { return false };
        let listed = context.memory.list("", None).now_or_never().expect("memory answers at once");
        listed.expect("memory does not fail").iter().for_each(|listed| delete(context, &listed.name));
        copy.objects.into_iter().for_each(|(name, bytes)| put(context, &name, bytes));
        *context.audit.borrow_mut() = copy.audit;
        *context.model.borrow_mut() = copy.model;
        context.count(Outcome::Restored);
        context.trace(format!("a copy is restored that ends at {}", context.audit.borrow().tail()));
        true
    }

    /// Restores damaged objects.
    pub(crate) fn restore(&self, context: &Context) {
        for Damaged { name, bytes } in self.damaged.take() {
            context.audit.borrow_mut().damaged.remove(&name);
            if name.starts_with("log/") {
                let created = context.memory.create(&name, bytes).now_or_never().expect("memory answers at once");
                if !matches!(created, Ok(cenote_store::storage::Created::Yes)) {
                    context.fail(format!("{name} was written twice (I1)"));
                }
                self.newest_entry_is_missing.set(false);
            } else if context.audit.borrow().named().contains(&name) {
                put(context, &name, bytes);
            } else {
                // The log was trimmed meanwhile, and no entry names it.
                delete(context, &name);
            }
            context.trace(format!("{name} is restored"));
        }
    }

    /// Ends all faults.
    pub(crate) fn end(&self, context: &Context) {
        context.calm();
        self.restore(context);
    }
}

/// Longer than a put that was reported as failed can take to land.
pub(crate) const ALL_LANDED: Duration = Duration::from_mins(5);

fn put(context: &Context, name: &str, bytes: Bytes) {
    context.memory.put(name, bytes).now_or_never().expect("memory answers at once").expect("memory does not fail");
}

fn delete(context: &Context, name: &str) {
    context.memory.delete(name).now_or_never().expect("memory answers at once").expect("memory does not fail");
}
