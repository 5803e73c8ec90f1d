//! Do challenges keep their promises on both engines?
