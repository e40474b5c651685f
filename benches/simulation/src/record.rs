//! What the simulated dataset holds, and how a view is held against what it should be.

use std::collections::BTreeMap;
use std::rc::Rc;

use cenote_state::Record;
use cenote_state::view::{HashIndex, View};

use super::dice::Dice;

/// A record with a component and an index.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(key = "id")]
pub(crate) struct Item {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) weight: Option<u32>,
    pub(crate) tags: Vec<Tag>,
}

/// A component.
#[derive(Clone, Debug, PartialEq, Record)]
pub(crate) struct Tag {
    pub(crate) word: String,
}

pub(crate) const BY_GROUP: HashIndex<Item, str> = HashIndex::on("group");
const GROUPS: [&str; 4] = ["red", "green", "blue", "none"];
const WORDS: [&str; 6] = ["old", "new", "cold", "warm", "near", "far"];
/// Keys that are used.
const KEYS: u64 = 48;
/// The one record that can be too large for its log entry.
const LARGE: u64 = 1_000;
/// Incompressible by a quarter at most, so that it is above 1 MiB all the same.
const LARGE_BYTES: usize = 1_500_000;

/// A version's records.
pub(crate) type Content = Rc<BTreeMap<u64, Item>>;

/// A change: what is put, or that it goes.
pub(crate) type Changes = BTreeMap<u64, Option<Item>>;

pub(crate) fn item(id: u64, dice: &Dice) -> Item {
    let tags = (0..dice.below(3)).map(|_| Tag { word: (*dice.pick(&WORDS)).to_owned() }).collect();
    Item {
        id,
        name: format!("item {id}, the {}th of its kind", dice.below(1_000_000)),
        group: (*dice.pick(&GROUPS)).to_owned(),
        weight: dice.percent(80).then(|| u32::try_from(dice.below(100)).expect("small")),
        tags,
    }
}

/// A whole dataset of some keys.
pub(crate) fn dataset(dice: &Dice) -> Content {
    let some = |_: &u64| dice.percent(60);
    let keys: Vec<u64> = (0..KEYS).filter(some).collect();
    Rc::new(keys.into_iter().map(|id| (id, item(id, dice))).collect())
}

/// A few changes; the large record goes with the next ones after it came.
pub(crate) fn changes(content: &Content, dice: &Dice, large: bool) -> Changes {
    let mut changes = Changes::new();
    for _ in 0..1 + dice.below(5) {
        let id = dice.below(KEYS);
        changes.insert(id, dice.percent(75).then(|| item(id, dice)));
    }
    if large {
        changes.insert(LARGE, Some(Item { name: noise(dice), ..item(LARGE, dice) }));
    } else if content.contains_key(&LARGE) {
        changes.insert(LARGE, None);
    }
    changes
}

/// Text that does not compress below 1 MiB.
fn noise(dice: &Dice) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(LARGE_BYTES + 10);
    while text.len() < LARGE_BYTES {
        let draw = dice.draw();
        text.extend((0..10).map(|index| char::from(letters[(draw >> (6 * index)) as usize % letters.len()])));
    }
    text
}

pub(crate) fn applied(content: &Content, changes: &Changes) -> Content {
    let mut after = content.as_ref().clone();
    for (id, change) in changes {
        match change {
            Some(item) => drop(after.insert(*id, item.clone())),
            None => drop(after.remove(id)),
        }
    }
    Rc::new(after)
}

/// Whether the view has just these records, by scan and by key (I2, I5); else what differs.
pub(crate) fn differs(view: &View, content: &Content) -> Option<String> {
    if view.len::<Item>() != content.len() {
        return Some(format!("it has {} records, not {}", view.len::<Item>(), content.len()));
    }
    let scanned: BTreeMap<u64, Item> = view.all::<Item>().map(|item| (item.id(), item.to_owned())).collect();
    for (id, expected) in content.iter() {
        let by_key = view.get::<Item>(*id).map(|item| item.to_owned());
        if scanned.get(id) != Some(expected) || by_key.as_ref() != Some(expected) {
            return Some(format!("record {id} is another one, or gone"));
        }
    }
    None
}

/// Whether the index knows just these records (I2); else what differs.
pub(crate) fn index_differs(view: &View, content: &Content) -> Option<String> {
    GROUPS.iter().find_map(|group| {
        let expected = content.values().filter(|item| item.group == *group).count();
        let found = view.find(&BY_GROUP, *group).iter().filter(|item| item.group() == *group).count();
        (found != expected).then(|| format!("its index has {found} records of {group}, not {expected}"))
    })
}
