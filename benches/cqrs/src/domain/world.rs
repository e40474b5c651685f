//! The seeded generator: the initial catalogue, and an endless stream of commands on it.
//!
//! The same seed gives the same catalogue and commands, so that every strategy gets the same work. About one command in
//! fifty breaks a rule on purpose, so that a write side without validation fails the audit.

use std::sync::Arc;

use super::{Command, PAGE_PRODUCTS_MAX, Page, Product};
use cenote_bench_support::random::mix;

/// The reference data, which never changes: brands and the tree of categories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Names, by number.
    pub brands: Vec<String>,
    /// By number; parents come before children.
    pub categories: Vec<Category>,
}

/// One category.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Category {
    /// The name.
    pub name: String,
    /// The category that it is in.
    pub parent: Option<u32>,
    /// The names from the top to here: `Home > Kitchen > Pans`.
    pub path: String,
}

impl Reference {
    fn new(products: u64) -> Reference {
        let brands = (0..(products / 50).clamp(5, 2_000)).map(|brand| format!("{} {}", word(brand), ending(brand)));
        let mut reference = Reference { brands: brands.collect(), categories: Vec::new() };
        // About 200 products in each leaf: a listing shows the first 50.
        let leaves = (products / 200).clamp(8, 512);
        let departments = (leaves / 8).clamp(2, 16);
        for department in 0..departments {
            reference.add(department, None);
        }
        for shelf in 0..departments * 2 {
            reference.add(100 + shelf, Some((shelf % departments) as u32));
        }
        let shelves = departments..departments * 3;
        for leaf in 0..leaves {
            reference.add(1_000 + leaf, Some((shelves.start + leaf % (departments * 2)) as u32));
        }
        reference
    }

    fn add(&mut self, number: u64, parent: Option<u32>) {
        let name = capital(&word(number * 7));
        let path = parent.map(|parent| format!("{} > {name}", self.categories[parent as usize].path));
        self.categories.push(Category { path: path.unwrap_or_else(|| name.clone()), name, parent });
    }

    /// The categories that hold products: those without children.
    pub fn leaves(&self) -> impl Iterator<Item = u32> + '_ {
        let inner = self.categories.iter().filter_map(|category| category.parent).max().map_or(0, |last| last + 1);
        inner..self.categories.len() as u32
    }

    /// A brand's name.
    #[must_use]
    pub fn brand(&self, brand: u32) -> &str {
        self.brands.get(brand as usize).map_or("", String::as_str)
    }

    /// A category's path.
    #[must_use]
    pub fn path(&self, category: u32) -> &str {
        self.categories.get(category as usize).map_or("", |category| &category.path)
    }
}

/// The initial catalogue.
#[derive(Debug, Clone)]
pub struct World {
    /// How many products: ids from 1.
    pub products: u64,
    /// How many published pages: ids from 1.
    pub pages: u64,
    /// Brands and categories.
    pub reference: Arc<Reference>,
    seed: u64,
}

impl World {
    /// The catalogue of this size.
    #[must_use]
    pub fn new(products: u64, pages: u64, seed: u64) -> World {
        World { products: products.max(1), pages, reference: Arc::new(Reference::new(products)), seed }
    }

    /// A product as it is initially, or as a later `Add` adds it.
    #[must_use]
    pub fn product(&self, id: u64) -> Product {
        let mut random = Random::new(self.seed, 1, id);
        let leaves: Vec<u32> = self.reference.leaves().collect();
        Product {
            id,
            name: format!("{} {} {}", capital(&word(random.next())), word(random.next()), id),
            brand: random.below(self.reference.brands.len() as u64) as u32,
            category: leaves[random.below(leaves.len() as u64) as usize],
            price_cents: 100 + random.below(100_000),
            stock: random.below(500) as u32,
            weight_grams: None,
        }
    }

    /// A page as it is initially, with 8 to 50 products.
    #[must_use]
    pub fn page(&self, id: u64) -> Page {
        page(id, self.products, &mut Random::new(self.seed, 2, id))
    }

    /// All products.
    pub fn all_products(&self) -> impl Iterator<Item = Product> + '_ {
        (1..=self.products).map(|id| self.product(id))
    }

    /// All pages.
    pub fn all_pages(&self) -> impl Iterator<Item = Page> + '_ {
        (1..=self.pages).map(|id| self.page(id))
    }

    /// Commands: the same ones for the same `stream`. Two streams add different products.
    #[must_use]
    pub fn commands(&self, stream: u64) -> Commands {
        let first_new = self.products + 1 + stream * 10_000_000;
        Commands { world: self.clone(), random: Random::new(self.seed, 3, stream), next_new: first_new, count: 0 }
    }

    /// The highest id of a page in commands: higher than the initial pages', so that new pages are published, too.
    #[must_use]
    pub fn page_ids(&self) -> u64 {
        self.pages + self.pages / 10 + 1
    }
}

fn page(id: u64, products: u64, random: &mut Random) -> Page {
    let count = 8 + random.below(PAGE_PRODUCTS_MAX as u64 - 7);
    let refs = (0..count).map(|_| 1 + random.below(products)).collect();
    Page {
        id,
        title: format!("{} for {} #{}", capital(&word(random.next())), word(random.next()), random.below(1_000)),
        products: refs,
    }
}

/// An endless stream of commands: 40 % stock, 30 % prices, 10 % names, 5 % moves, 5 % new products, 10 % pages.
#[derive(Debug, Clone)]
pub struct Commands {
    world: World,
    random: Random,
    next_new: u64,
    count: u64,
}

impl Iterator for Commands {
    type Item = Command;

    fn next(&mut self) -> Option<Command> {
        self.count += 1;
        let id = 1 + self.random.below(self.world.products);
        Some(match self.random.below(100) {
            0..40 => Command::Stock { id, by: self.stock_by() },
            40..70 => Command::Price { id, price_cents: 100 + self.random.below(100_000) },
            70..80 => {
                Command::Rename { id, name: format!("{} {id}.{}", capital(&word(self.random.next())), self.count) }
            }
            80..85 => Command::Move { id, category: self.leaf() },
            85..90 => self.add(),
            90..97 => {
                let id = 1 + self.random.below(self.world.page_ids());
                Command::Publish(page(id, self.world.products, &mut self.random))
            }
            _ => Command::Unpublish { id: 1 + self.random.below(self.world.page_ids()) },
        })
    }
}

impl Commands {
    /// A small step up or down, and one in twenty more than is in stock.
    fn stock_by(&mut self) -> i64 {
        match self.random.below(20) {
            0 => -1_000_000,
            1..14 => -(1 + self.random.below(3) as i64),
            _ => self.random.below(20) as i64,
        }
    }

    fn leaf(&mut self) -> u32 {
        let leaves: Vec<u32> = self.world.reference.leaves().collect();
        leaves[self.random.below(leaves.len() as u64) as usize]
    }

    fn add(&mut self) -> Command {
        let product = self.world.product(self.next_new);
        self.next_new += 1;
        Command::Add(product)
    }
}

/// SplitMix64, a stream per subject and number. Not for anything that must be unpredictable.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64, subject: u64, number: u64) -> Random {
        Random(mix(mix(seed ^ subject.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_add(number)))
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 33) % end.max(1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }
}

fn word(number: u64) -> String {
    const HEADS: [&str; 16] =
        ["ba", "co", "du", "fe", "gi", "ha", "ju", "ka", "lo", "mi", "no", "pe", "ro", "su", "ta", "ve"];
    const TAILS: [&str; 8] = ["lan", "rin", "sto", "mel", "der", "que", "nia", "xon"];
    let number = mix(number);
    let at = |shift: u32, len: usize| (number >> shift) as usize % len;
    format!("{}{}{}", HEADS[at(3, 16)], HEADS[at(19, 16)], TAILS[at(37, 8)])
}

fn ending(number: u64) -> &'static str {
    ["& Sons", "GmbH", "Works", "Ltd", "Atelier"][number as usize % 5]
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}
