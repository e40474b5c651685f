//! When something fails: producer and consumer together, on stores that fail, killed at every step, and with rivals.
//!
//! One program, so that it is linked once; it also runs the child processes of its own tests (`child`).

mod cases;
mod child;
mod damage;
mod dataset;
mod disk;
mod killed;
mod messages;
mod races;
mod races_http;
mod racing;
mod script;
