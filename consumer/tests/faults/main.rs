//! When things go wrong: producer and consumer together, on stores that fail, with deaths at every step and rivals.
//!
//! One program, so that it is linked once; it also plays the child processes of its own tests (`child`).

mod child;
mod damage;
mod diary;
mod disk;
mod killed;
mod races;
mod races_http;
mod racing;
mod rows;
mod table;
mod world;
