//! Cordons the node and evicts its pods within their disruption budgets.
