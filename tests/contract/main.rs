//! The contracts between the parts: state machines, functions, template, rights. Nothing runs here but the decisions
//! themselves: the definitions as they are deployed, walked with a real JSONata engine, by answers of the real types.
