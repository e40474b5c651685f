//! The derive next to others: their attributes on the same items, and the names that end up in the dataset.

use std::collections::BTreeMap;

use cenote_state::record::Registry;
use cenote_state::schema::{Shape, ValueKind};
use cenote_state::{Key, Record};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[record(key = "type", name = "movies")]
struct Movie {
    /// A keyword, and another name in JSON.
    #[serde(rename = "kind")]
    r#type: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[record(dedup)]
    home_country: Option<String>,
    #[record(default, name = "moods")]
    #[serde(with = "pairs")]
    r#mod: BTreeMap<Mood, String>,
    r#final: Cut,
    next: Option<Key<Movie>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, Record)]
#[serde(from = "String", into = "String")]
struct Cut {
    r#as: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Record)]
#[serde(rename_all = "lowercase")]
#[allow(non_camel_case_types)]
enum Mood {
    #[default]
    #[serde(alias = "quiet")]
    Calm,
    #[record(name = "raw")]
    r#unsafe,
    r#yield,
    #[serde(other)]
    #[record(other)]
    Other,
}

/// How serde keeps a map: nothing that the derive could know of.
mod pairs {
    use super::{BTreeMap, Deserialize, Mood, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(map: &BTreeMap<Mood, String>, out: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(out)
    }
    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<Mood, String>, D::Error> {
        Ok(Vec::deserialize(from)?.into_iter().collect())
    }
}

impl From<String> for Cut {
    fn from(text: String) -> Cut {
        Cut { r#as: text }
    }
}

impl From<Cut> for String {
    fn from(cut: Cut) -> String {
        cut.r#as
    }
}

#[test]
fn the_dataset_has_raw_identifiers_without_their_mark() {
    let declared = Registry::new().with::<Movie>().finish().expect("the types are sound");
    let schema = declared.schema();
    let fields = |name: &str| {
        let (_, found) = schema.iter().find(|(_, found)| found.name == name).expect("the type is declared");
        found.fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(fields("movies"), ["type", "home_country", "moods", "final", "next"]);
    assert_eq!(fields("Cut"), ["as"]);
    let (_, movies) = schema.iter().find(|(_, found)| found.name == "movies").expect("the type is declared");
    let Shape::Map(ValueKind::Enum(variants), _) = &movies.fields[2].shape else { panic!("moods are a map by mood") };
    assert_eq!(*variants, ["Calm", "raw", "yield", "Other"]);
}

#[test]
fn serde_has_its_names() {
    let json = r#"{"type":1}"#;
    assert!(serde_json::from_str::<Movie>(json).is_err(), "serde asks for kind");
    assert_eq!(serde_json::from_str::<Mood>("\"quiet\"").expect("an alias"), Mood::Calm);
    assert_eq!(serde_json::to_string(&Mood::r#yield).expect("a name"), "\"yield\"");
}
