//! Who is it about, and is it ours
