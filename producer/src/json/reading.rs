//! How fields are read where the command line says so, instead of by what the file's values look like.
//!
//! A path leads through objects, arrays and maps by the names of fields: `cast.name` is the name of every element of `cast`.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::cursor::Token;

/// How a field's values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    /// Numbers, whole ones too, as `f64`.
    F64,
    /// Strings, numbers and bools as text, as they are written.
    String,
    /// Any value as the text of its JSON.
    Json,
    /// Objects as maps: their names are data.
    Map,
    /// Objects as components: their names are fields.
    Record,
    /// Not at all.
    Skip,
}

impl FromStr for As {
    type Err = String;

    fn from_str(text: &str) -> Result<As, String> {
        Ok(match text {
            "f64" => As::F64,
            "string" => As::String,
            "json" => As::Json,
            "map" => As::Map,
            "record" => As::Record,
            _ => return Err(format!("{text} is none of f64, string, json, map, record")),
        })
    }
}

/// How the fields of a type are read, by their paths. Those that are not named are read as they look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub(super) how: Option<As>,
    fields: BTreeMap<String, Reading>,
}

impl As {
    /// Whether a value that begins like this can't be read so.
    pub(super) fn misses(self, token: Token) -> bool {
        match self {
            As::F64 => token != Token::Number && token != Token::Array,
            As::String => token == Token::Object,
            As::Map | As::Record => token != Token::Object && token != Token::Array,
            As::Json | As::Skip => false,
        }
    }

    /// For people.
    pub(super) fn shown(self) -> &'static str {
        match self {
            As::F64 => "f64",
            As::String => "string",
            As::Json => "json",
            As::Map => "map",
            As::Record => "record",
            As::Skip => "nothing",
        }
    }
}

impl Reading {
    /// Of a field of which nothing is said.
    pub(super) fn nothing_said() -> &'static Reading {
        static NONE: Reading = Reading { how: None, fields: BTreeMap::new() };
        &NONE
    }

    /// Says how the field at this path is read.
    pub(crate) fn set(&mut self, path: &[String], how: As) {
        match path {
            [] => self.how = Some(how),
            [name, rest @ ..] => self.fields.entry(name.clone()).or_default().set(rest, how),
        }
    }

    /// How the field of an object is read.
    pub(super) fn field(&self, name: &str) -> Option<&Reading> {
        self.fields.get(name)
    }

    /// Every path of which something is said.
    pub(super) fn paths(&self) -> Vec<(Vec<String>, As)> {
        let mut found = Vec::new();
        self.collect(&mut Vec::new(), &mut found);
        found
    }

    fn collect(&self, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, As)>) {
        found.extend(self.how.map(|how| (path.clone(), how)));
        for (name, reading) in &self.fields {
            path.push(name.clone());
            reading.collect(path, found);
            path.pop();
        }
    }
}
