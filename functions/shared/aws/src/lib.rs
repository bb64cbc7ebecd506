//! Auto Scaling, EKS and the EKS login.
