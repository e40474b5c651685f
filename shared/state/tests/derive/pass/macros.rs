//! Records that a `macro_rules!` of the user's writes.

use std::collections::{BTreeMap, HashSet};

use cenote_state::{Key, Record, Text, View};

/// Everything comes from the caller.
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis $name:ident { $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $type:ty),* $(,)? }) => {
        #[derive(Clone, Debug, PartialEq, Record)]
        $(#[$meta])*
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $type,)*
        }
    };
}

record! {
    /// A root.
    #[record(key = "id")]
    pub(crate) Movie {
        /// Its number.
        pub(crate) id: u64,
        pub(crate) title: String,
        #[record(dedup)]
        country: Option<String>,
        #[record(packed, default)]
        plot: String,
        #[record(default)]
        words: BTreeMap<String, Vec<u8>>,
        tags: Option<HashSet<i16>>,
        next: Option<Key<Self>>,
        cast: Vec<Actor>,
    }
}

record!(pub(crate) Actor { name: String, mood: Mood });

/// Field names come from the macro, types from the caller, the key from an expression.
macro_rules! keyed {
    ($name:ident, $key:expr, $id:ty, $text:ty) => {
        #[derive(Clone, Debug, PartialEq, Record)]
        #[record(key = $key)]
        pub(crate) struct $name {
            id: $id,
            self_: $text,
            #[record(dedup)]
            deduped: Vec<$text>,
            #[record(packed)]
            packed: Option<$text>,
        }
    };
}

keyed!(Shop, "id", u32, String);
keyed!(Address, ["id", "self_"], i8, String);

/// Types come from the macro, field names from the caller.
macro_rules! named {
    ($($field:ident),*) => {
        #[derive(Clone, Debug, PartialEq, Record)]
        #[record(crate = ::cenote_state)]
        pub(crate) struct Named {
            $($field: String,)*
        }
    };
}

named!(at, writer, declaration, reader, other, f, index);

/// A macro that a macro writes.
macro_rules! maker {
    ($make:ident, $type:ty) => {
        macro_rules! $make {
            ($name:ident, $field:ident) => {
                #[derive(Clone, Debug, PartialEq, Record)]
                pub(crate) struct $name {
                    $field: $type,
                    second: Option<$type>,
                }
            };
        }
    };
}
maker!(of_numbers, i32);
of_numbers!(Numbers, first);

macro_rules! values {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident),* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Record)]
        pub(crate) enum $name {
            $($(#[$variant_meta])* $variant,)*
        }
    };
}

values!(
    /// A value.
    Mood { #[default] #[record(name = "calm")] Calm, #[record(other)] Wild });

fn _read(view: &View) -> Option<String> {
    let movie = view.get::<Movie>(1)?;
    let _: (Text<'_>, Option<Key<Movie>>) = (movie.plot(), movie.next().map(|next| next.to_owned()));
    let _ = (movie.id(), movie.country(), movie.words(), movie.tags(), movie.cast().get(0)?.name());
    let address = view.get::<Address>((1, "x"))?;
    let _: Option<&str> = address.deduped().get(0);
    let _: Option<Text<'_>> = view.get::<Shop>(1)?.packed();
    Some(movie.title().to_owned())
}

fn _of_components(named: NamedRef<'_>, numbers: NumbersRef<'_>, mood: Mood) -> (String, Option<i32>, bool) {
    (named.at().to_owned() + named.writer() + named.f(), numbers.second().or(Some(numbers.first())), mood == Mood::Calm)
}
