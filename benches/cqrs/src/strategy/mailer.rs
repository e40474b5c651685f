//! A side effect: a mail about each product that got cheaper. It counts mails and sends none.
//!
//! It acts once per message, though messages may come more than once: it remembers those that it has acted on (in
//! production in a table, which outlives the process as this does). It ignores replays, which are for read models.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use crate::Answer;
use crate::broker::Broker;
use crate::domain::{Cause, Key, Message};
use crate::metrics::Metrics;
use crate::settings::Settings;

/// The subscription's name.
pub(super) const MAILER: &str = "mailer";

/// Mails that were sent.
#[derive(Default)]
pub(super) struct Mailbox {
    sent: Mutex<HashSet<(Key, u64)>>,
}

impl Mailbox {
    /// Sends a mail if this message is a reason to, and none was sent for it.
    pub(super) fn consider(&self, message: &Message, metrics: &Metrics) {
        if message.replay || message.cause != Cause::Cheaper {
            return;
        }
        if self.sent.lock().expect("nothing panics under this lock").insert((message.key(), message.version)) {
            Metrics::count(&metrics.mails, 1);
        }
    }
}

/// The mailer's process, on a separate subscription: a slow mail server delays no read model.
pub(super) async fn run(
    broker: &dyn Broker,
    mailbox: &Mailbox,
    settings: &Settings,
    metrics: &Arc<Metrics>,
) -> Answer<()> {
    let subscription = broker.subscribe(MAILER).await?;
    loop {
        let deliveries = subscription.receive(settings.prefetch, settings.idle).await?;
        let messages = deliveries.iter().filter_map(|delivery| Message::decode(&delivery.envelope.body).ok());
        messages.for_each(|message| mailbox.consider(&message, metrics));
        if !deliveries.is_empty() {
            subscription.ack(&deliveries.iter().map(|delivery| delivery.tag).collect::<Vec<_>>()).await?;
        }
    }
}
