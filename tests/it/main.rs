//! The library and the command from outside, on real files and with real tools.

mod golden;
