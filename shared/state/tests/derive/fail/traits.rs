//! What can't be seen in the tokens is said by the traits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cenote_state::{Key, Record, View};

#[derive(Record)]
#[record(key = "id")]
struct Movie {
    id: u64,
}

#[derive(Record)]
struct Actor {
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Record)]
enum Genre {
    Drama,
}

type Byte = u8;
type Real = f32;

#[derive(Record)]
struct HoldsRoot {
    movie: Movie, //~ a field of a record can't be `Movie` //~ a struct with a key is a root: refer to it by Key<Movie>
}

#[derive(Record)]
struct HoldsOther {
    time: Duration, //~ a field of a record can't be `Duration` //~ a struct or enum of your own needs #[derive(Record)]
}

#[derive(Record)]
struct HoldsKeyOfComponent {
    actor: Key<Actor>, //~ `Actor` is not a root: it has no key
}

#[derive(Record)]
struct HoldsFloats {
    floats: BTreeSet<Real>, //~ a field of a record can't be `BTreeSet<f32>` //~ sets and map keys are never floats
}

#[derive(Record)]
struct HoldsByFloat {
    floats: BTreeMap<Real, u8>, //~ a field of a record can't be `BTreeMap<f32, u8>` //~ sets and map keys are never floats
}

#[derive(Record)]
struct HoldsByKey {
    by_key: BTreeMap<Key<Movie>, u8>, //~ a field of a record can't be `BTreeMap<cenote_state::Key<Movie>, u8>`
}

#[derive(Record)]
struct Defaults {
    #[record(default)]
    genre: Genre, //~ field genre: its type has no default; write Option, or mark a variant of the enum with #[default]
}

#[derive(Record)]
#[record(key = "actor.age")] //~ the key leads to a field that `Actor` does not have
struct Lost {
    actor: Actor,
}

#[derive(Record)]
struct Essay {
    #[record(packed)]
    text: String,
}

#[derive(Record)]
#[record(key = "essay.text")] //~ can't be a key //~ packed text can't be a key
struct Long {
    essay: Essay,
}

#[derive(Record)]
#[record(key = "actor")]
struct Whole {
    actor: Actor, //~ `Actor` can't be a key
}

fn component_by_key(view: &View) {
    view.get::<Actor>(1); //~ `Actor` is not a root: it has no key
}

struct ByHand;

impl cenote_state::__derive::Component for ByHand {} //~ `ByHand` is not a record

impl cenote_state::view::IndexValue for ByHand { //~ `ByHand` can't implement Cenote's traits by hand
    type Stored = u8;
    type Borrowed<'a> = u8;
    fn with_bytes<R>(value: u8, look: impl FnOnce(&[u8]) -> R) -> R {
        look(&[value])
    }
    fn default_bytes() -> Option<Vec<u8>> {
        None
    }
}
