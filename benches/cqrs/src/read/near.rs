//! A near cache: what was read lately, in the memory of the service that reads.
//!
//! It keeps entities and not answers, so that a product that changes is dropped once, whichever pages show it. Either
//! a timer empties it (what Netflix's Tudum had), or what the projector applied does (the fair one).
//!
//! Rules: an entity that was dropped while it was being read is not kept; what is not in the store is not kept.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, RwLock};

use async_trait::async_trait;

use super::{LocalQueries, Queries, RemoteQueries};
use crate::Answer;
use crate::domain::{Change, Collected, Message, OwnedCard, Query, See};

/// Locks are taken per shard, so that readers rarely meet.
const SHARDS: usize = 16;

/// Answers from memory where it can.
pub struct NearCache {
    inner: Queries,
    cards: [RwLock<HashMap<u64, Arc<OwnedCard>>>; SHARDS],
    /// The ids that a listing or a page shows, with a page's headline and version.
    lists: [RwLock<HashMap<Query, Arc<List>>>; SHARDS],
    /// The listing that shows a product.
    listed: RwLock<HashMap<u64, Query>>,
    /// Raised by whatever is dropped.
    drops: AtomicU64,
}

/// An answer from memory: the list, unless one product was asked for, and what it shows.
type Cached = (Option<Arc<List>>, Vec<Arc<OwnedCard>>);

struct List {
    page: Option<(String, u64)>,
    ids: Vec<u64>,
}

impl NearCache {
    /// A cache in front of these.
    #[must_use]
    pub fn new(inner: Queries) -> Arc<NearCache> {
        Arc::new(NearCache {
            inner,
            cards: std::array::from_fn(|_| RwLock::default()),
            lists: std::array::from_fn(|_| RwLock::default()),
            listed: RwLock::default(),
            drops: AtomicU64::new(0),
        })
    }

    /// Answers through the cache.
    #[must_use]
    pub fn queries(self: &Arc<NearCache>) -> Queries {
        match &self.inner {
            Queries::Local(_) => Queries::Local(Arc::<NearCache>::clone(self)),
            Queries::Remote(_) => Queries::Remote(Arc::<NearCache>::clone(self)),
        }
    }

    /// Forgets everything: what the timer does.
    pub fn clear(&self) {
        self.drops.fetch_add(1, SeqCst);
        self.cards.iter().for_each(|shard| shard.write().expect("nothing panics under this lock").clear());
        self.lists.iter().for_each(|shard| shard.write().expect("nothing panics under this lock").clear());
        self.listed.write().expect("nothing panics under this lock").clear();
    }

    /// Forgets what these messages changed; everything, if there are none.
    pub fn forget(&self, messages: &[Message]) {
        if messages.is_empty() {
            return self.clear();
        }
        self.drops.fetch_add(1, SeqCst);
        for message in messages {
            match &message.change {
                Change::Product(product) => self.forget_product(product.id, product.category),
                Change::Page(page) => self.forget_list(Query::Page(page.id)),
                Change::PageGone(id) => self.forget_list(Query::Page(*id)),
            }
        }
    }

    fn forget_product(&self, id: u64, category: u32) {
        self.cards(id).write().expect("nothing panics under this lock").remove(&id);
        let now = Query::Category(category);
        let before = self.listed.read().expect("nothing panics under this lock").get(&id).copied();
        // Where it was shown and still belongs, the listing stays as it is.
        if before != Some(now) {
            self.listed.write().expect("nothing panics under this lock").remove(&id);
            before.into_iter().chain([now]).for_each(|listing| self.forget_list(listing));
        }
    }

    fn forget_list(&self, query: Query) {
        self.lists(query).write().expect("nothing panics under this lock").remove(&query);
    }

    fn cards(&self, id: u64) -> &RwLock<HashMap<u64, Arc<OwnedCard>>> {
        &self.cards[id as usize % SHARDS]
    }

    fn lists(&self, query: Query) -> &RwLock<HashMap<Query, Arc<List>>> {
        let mut hasher = DefaultHasher::new();
        query.hash(&mut hasher);
        &self.lists[hasher.finish() as usize % SHARDS]
    }

    /// The whole answer, if it is here.
    fn cached(&self, query: Query) -> Option<Cached> {
        let card = |id: u64| self.cards(id).read().expect("nothing panics under this lock").get(&id).cloned();
        if let Query::Product(id) = query {
            return Some((None, vec![card(id)?]));
        }
        let list = self.lists(query).read().expect("nothing panics under this lock").get(&query).cloned()?;
        let cards = list.ids.iter().map(|id| card(*id)).collect::<Option<_>>()?;
        Some((Some(list), cards))
    }

    fn show(&self, query: Query, see: &mut dyn See) -> bool {
        let Some((list, cards)) = self.cached(query) else { return false };
        if let Some((title, version)) = list.as_ref().and_then(|list| list.page.as_ref()) {
            see.page(title, *version);
        }
        cards.iter().for_each(|card| see.product(card.card()));
        true
    }

    /// Keeps an answer, unless something was dropped since it was asked for.
    fn keep(&self, query: Query, answer: Collected, asked_at: u64) {
        let is_new = || self.drops.load(SeqCst) == asked_at;
        let ids: Vec<u64> = answer.products.iter().map(|product| product.id).collect();
        for card in answer.products {
            let mut shard = self.cards(card.id).write().expect("nothing panics under this lock");
            if is_new() {
                shard.insert(card.id, Arc::new(card));
            }
        }
        if !matches!(query, Query::Product(_)) {
            let mut listed = self.listed.write().expect("nothing panics under this lock");
            let mut shard = self.lists(query).write().expect("nothing panics under this lock");
            if is_new() {
                if matches!(query, Query::Category(_)) {
                    listed.extend(ids.iter().map(|id| (*id, query)));
                }
                shard.insert(query, Arc::new(List { page: answer.page, ids }));
            }
        }
    }
}

impl LocalQueries for NearCache {
    fn ask(&self, query: Query, see: &mut dyn See) -> Answer<bool> {
        if self.show(query, see) {
            return Ok(true);
        }
        let Queries::Local(inner) = &self.inner else { return Err("a server is asked asynchronously".into()) };
        let (asked_at, mut answer) = (self.drops.load(SeqCst), Collected::default());
        let found = inner.ask(query, &mut answer)?;
        answer.show(see);
        if found {
            self.keep(query, answer, asked_at);
        }
        Ok(found)
    }
}

#[async_trait]
impl RemoteQueries for NearCache {
    async fn ask(&self, query: Query, see: &mut (dyn See + Send)) -> Answer<bool> {
        if self.show(query, see) {
            return Ok(true);
        }
        let (asked_at, mut answer) = (self.drops.load(SeqCst), Collected::default());
        let found = self.inner.ask(query, &mut answer).await?;
        answer.show(see);
        if found {
            self.keep(query, answer, asked_at);
        }
        Ok(found)
    }
}
