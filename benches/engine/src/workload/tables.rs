//! The fixed tables of the workload: words, countries and their weights, genres; and text made of words.

use super::random::{Stream, Subject};

/// The number of words. Some are equal.
pub const WORDS: usize = 4096;
/// The number of countries.
pub const COUNTRIES: usize = 200;
/// The number of genres.
pub const GENRES: usize = 40;

const CONSONANTS: &[u8] = b"bcdfghjklmnprstvwz";
const VOWELS: &[u8] = b"aeiou";

/// The name of country `number`.
#[must_use]
pub fn country_name(number: usize) -> String {
    format!("country-{number:03}")
}

/// The name of genre `number`.
#[must_use]
pub fn genre_name(number: usize) -> String {
    format!("genre-{number:02}")
}

/// Words and cumulated weights, made once per catalog.
pub(super) struct Tables {
    words: Vec<String>,
    /// `cumulated[j]`: the weights of countries 0 to j, added up.
    cumulated: Vec<u64>,
}

impl Tables {
    pub(super) fn new() -> Self {
        let cumulated = (1..=COUNTRIES as u64).scan(0, |sum, rank| {
            *sum += 1_000_000 / rank;
            Some(*sum)
        });
        Self { words: (0..WORDS).map(make_word).collect(), cumulated: cumulated.collect() }
    }

    pub(super) fn word(&self, number: usize) -> &str {
        &self.words[number]
    }

    /// A word whose first letter is upper case, for names.
    pub(super) fn push_name(&self, stream: &mut Stream, name: &mut String) {
        let word = &self.words[stream.below(WORDS as u64) as usize];
        let (first, rest) = word.split_at(1);
        name.push_str(&first.to_ascii_uppercase());
        name.push_str(rest);
    }

    /// The number of a country; the first ones are the most common.
    pub(super) fn draw_country(&self, stream: &mut Stream) -> usize {
        let total = *self.cumulated.last().expect("there are countries");
        let drawn = stream.below(total);
        self.cumulated.partition_point(|&sum| sum <= drawn)
    }

    /// Replaces `text` by words and single spaces, cut at a length drawn from `min..=max`.
    pub(super) fn draw_text(&self, stream: &mut Stream, min: usize, max: usize, text: &mut String) {
        text.clear();
        let length = min + stream.below((max - min + 1) as u64) as usize;
        while text.len() < length {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(self.draw_word(stream));
        }
        text.truncate(length);
        if text.ends_with(' ') {
            text.pop();
            text.push('.');
        }
    }

    /// The lower of two draws, so that low numbers are more common, as words are in a language.
    fn draw_word(&self, stream: &mut Stream) -> &str {
        let a = stream.below(WORDS as u64);
        let b = stream.below(WORDS as u64);
        &self.words[a.min(b) as usize]
    }
}

fn make_word(number: usize) -> String {
    let mut stream = Stream::new(Subject::Word, number as u64);
    let length = 2 + stream.below(8);
    let letter = |place| {
        let letters = if place % 2 == 0 { CONSONANTS } else { VOWELS };
        char::from(letters[stream.below(letters.len() as u64) as usize])
    };
    (0..length).map(letter).collect()
}
