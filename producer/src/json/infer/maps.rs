//! Objects that are maps: their names are data, like `"5.5"` or `"nld"`, and not fields.
//!
//! An object is taken for a map if it has many names, all values are of one kind, none is null, and the names don't look like
//! fields: most of them are no identifiers, or each object has a few of them only, or there are hundreds. The person who runs
//! it is reported, and the command line can say otherwise.

use super::{Numbers, Objects, Seen, Value, What};

/// So many names an object has at least that is taken for a map.
const NAMES_MIN: usize = 32;
/// With so many names, it is one whatever they look like.
const NAMES_MANY: usize = 256;

impl Objects {
    /// What a map's values are, if these objects look like maps.
    pub(super) fn as_map(&self) -> Option<Value> {
        let names = self.fields.len();
        if names < NAMES_MIN || self.fields.iter().any(|seen| seen.null.is_some()) {
            return None;
        }
        let odd = self.fields.iter().filter(|seen| !is_identifier(&seen.name)).count();
        let present: u64 = self.fields.iter().map(|seen| seen.count).sum();
        let is_sparse = present * 2 <= self.instances * names as u64;
        if names < NAMES_MANY && odd * 2 <= names && !is_sparse {
            return None;
        }
        let (first, rest) = self.fields.split_first()?;
        let mut values = first.value.clone();
        rest.iter().all(|seen| values.take_in(&seen.value)).then_some(values)
    }

    /// The same for a map that was said to be one.
    pub(super) fn columns(&self) -> usize {
        self.fields.iter().map(|seen| 1 + seen.value.columns()).sum()
    }

    /// Finds the maps below; returns whether this is one itself.
    pub(super) fn find_maps(&mut self) {
        self.fields.iter_mut().for_each(|seen| seen.value.find_maps());
    }

    fn take_in(&mut self, other: &Objects) -> bool {
        // Objects that have no field in common are not values of one map.
        if !self.fields.is_empty() && !other.fields.is_empty() {
            let common = other.fields.iter().filter(|seen| self.by_name.contains_key(&seen.name)).count();
            if common * 2 < other.fields.len().min(self.fields.len()) {
                return false;
            }
        }
        for seen in &mut self.fields {
            if !other.by_name.contains_key(&seen.name) && other.instances > 0 {
                seen.absent.get_or_insert(other.first_line);
            }
        }
        for theirs in &other.fields {
            let Some(index) = self.by_name.get(&theirs.name) else {
                let absent = theirs.absent.or((self.instances > 0).then_some(self.first_line));
                self.by_name.insert(theirs.name.clone(), self.fields.len());
                self.fields.push(Seen { instance: 0, absent, ..theirs.clone() });
                continue;
            };
            let ours = &mut self.fields[*index];
            ours.absent = ours.absent.or(theirs.absent);
            ours.null = ours.null.or(theirs.null);
            ours.count += theirs.count;
            if !ours.value.take_in(&theirs.value) {
                return false;
            }
        }
        // Instance numbers begin again: those of the fields are below.
        self.instances += other.instances;
        self.fields.iter_mut().for_each(|seen| seen.instance = 0);
        true
    }
}

impl Value {
    /// Becomes what holds the other's values too. Returns `false` if nothing does.
    fn take_in(&mut self, other: &Value) -> bool {
        match (&mut self.what, &other.what) {
            (_, What::Nothing) | (What::Bool, What::Bool) | (What::Text, What::Text) => true,
            (What::Nothing, _) => {
                *self = other.clone();
                true
            }
            (What::Number(ours), What::Number(theirs)) => {
                ours.take_in(theirs);
                true
            }
            (What::Array(ours), What::Array(theirs)) | (What::Map(ours), What::Map(theirs)) => ours.take_in(theirs),
            (What::Object(ours), What::Object(theirs)) => ours.take_in(theirs),
            _ => false,
        }
    }

    pub(super) fn find_maps(&mut self) {
        match &mut self.what {
            What::Array(value) | What::Map(value) => value.find_maps(),
            What::Object(objects) => {
                objects.find_maps();
                self.become_map();
            }
            _ => {}
        }
    }

    /// Becomes a map if its objects look like one. Returns how many columns that saves.
    pub(super) fn become_map(&mut self) -> usize {
        let What::Object(objects) = &self.what else { return 0 };
        if self.is_record {
            return 0;
        }
        let Some(values) = objects.as_map() else { return 0 };
        let saved = objects.columns() - values.columns();
        self.what = What::Map(Box::new(values));
        self.is_recognised = true;
        saved
    }

    fn columns(&self) -> usize {
        match &self.what {
            What::Array(value) | What::Map(value) => value.columns(),
            What::Object(objects) => objects.columns(),
            _ => 0,
        }
    }
}

impl Numbers {
    fn take_in(&mut self, other: &Numbers) {
        let Numbers { negative, above, beyond, fraction, inexact, is_float } = other;
        self.negative = self.negative.or(*negative);
        self.above = self.above.or(*above);
        self.beyond = self.beyond.take().or_else(|| beyond.clone());
        self.fraction = self.fraction.or(*fraction);
        self.inexact = self.inexact.take().or_else(|| inexact.clone());
        self.is_float |= is_float;
    }
}

/// Whether a name looks like a field's.
fn is_identifier(name: &str) -> bool {
    let starts = name.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_');
    starts && name.chars().all(|character| character.is_alphanumeric() || character == '_' || character == '-')
}
