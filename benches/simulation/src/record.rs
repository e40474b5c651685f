//! The records of the simulated dataset, and the comparison of a view with what it should contain.

use std::collections::BTreeMap;
use std::rc::Rc;

use cenote_state::Record;
use cenote_state::view::{HashIndex, View};

use super::rng::Rng;

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
/// The number of keys.
const KEYS: u64 = 48;
/// The one record that can be too large for its log entry.
const LARGE: u64 = 1_000;
/// Compression saves a quarter at most, so that it stays above 1 MiB.
const LARGE_BYTES: usize = 1_500_000;

/// The records of a version.
pub(crate) type Content = Rc<BTreeMap<u64, Item>>;

/// Changes by key: a new record, or `None` for a deletion.
pub(crate) type Changes = BTreeMap<u64, Option<Item>>;

pub(crate) fn item(id: u64, rng: &Rng) -> Item {
    let tags = (0..rng.below(3)).map(|_| Tag { word: (*rng.pick(&WORDS)).to_owned() }).collect();
    Item {
        id,
        name: format!("item {id}, the {}th of its kind", rng.below(1_000_000)),
        group: (*rng.pick(&GROUPS)).to_owned(),
        weight: rng.percent(80).then(|| u32::try_from(rng.below(100)).expect("small")),
        tags,
    }
}

/// A whole dataset of some keys.
pub(crate) fn dataset(rng: &Rng) -> Content {
    let some = |_: &u64| rng.percent(60);
    let keys: Vec<u64> = (0..KEYS).filter(some).collect();
    Rc::new(keys.into_iter().map(|id| (id, item(id, rng))).collect())
}

/// A few changes; the changes after the large record was added delete it.
pub(crate) fn changes(content: &Content, rng: &Rng, large: bool) -> Changes {
    let mut changes = Changes::new();
    for _ in 0..=rng.below(5) {
        let id = rng.below(KEYS);
        changes.insert(id, rng.percent(75).then(|| item(id, rng)));
    }
    if large {
        changes.insert(LARGE, Some(Item { name: noise(rng), ..item(LARGE, rng) }));
    } else if content.contains_key(&LARGE) {
        changes.insert(LARGE, None);
    }
    changes
}

/// Text that does not compress below 1 MiB.
fn noise(rng: &Rng) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(LARGE_BYTES + 10);
    while text.len() < LARGE_BYTES {
        let draw = rng.draw();
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

/// How the view differs from these records, by scan and by key (I2, I5).
pub(crate) fn differs(view: &View, content: &Content) -> Option<String> {
    if view.len::<Item>() != content.len() {
        return Some(format!("it has {} records, not {}", view.len::<Item>(), content.len()));
    }
    let scanned: BTreeMap<u64, Item> = view.all::<Item>().map(|item| (item.id(), item.to_owned())).collect();
    for (id, expected) in content.iter() {
        let by_key = view.get::<Item>(*id).map(ItemRef::to_owned);
        if scanned.get(id) != Some(expected) || by_key.as_ref() != Some(expected) {
            return Some(format!("record {id} differs or is missing"));
        }
    }
    None
}

/// How the index differs from these records (I2).
pub(crate) fn index_differs(view: &View, content: &Content) -> Option<String> {
    GROUPS.iter().find_map(|group| {
        let expected = content.values().filter(|item| item.group == *group).count();
        let found = view.find(&BY_GROUP, *group).iter().filter(|item| item.group() == *group).count();
        (found != expected).then(|| format!("its index has {found} records of {group}, not {expected}"))
    })
}
