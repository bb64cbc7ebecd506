use serde_json::json;

use super::*;

const TIB: u64 = 1 << 40;

fn id(number: usize) -> String {
    format!("i-{number:08x}")
}

fn host(number: usize) -> String {
    format!("10.0.0.{number}")
}

/// Candidates in zone `a` on demand, of which so many have to go.
fn request(candidates: usize, capacity: u32) -> Request {
    let mut request = Request {
        auto_scaling_group_name: "nvme".into(),
        capacity_to_terminate: Vec::new(),
        instances: Vec::new(),
        cause: "SCALE_IN".into(),
    };
    for number in 1..=candidates {
        request.instances.push(candidate(number, "a", "on-demand"));
    }
    request
        .capacity_to_terminate
        .push(wanted("a", capacity, "on-demand"));
    request
}

fn candidate(number: usize, zone: &str, market: &str) -> Candidate {
    Candidate {
        availability_zone: zone.into(),
        instance_id: InstanceId::parse(&id(number)).expect("valid"),
        instance_type: "m5d.4xlarge".into(),
        instance_market_option: Some(market.into()),
    }
}

fn wanted(zone: &str, capacity: u32, market: &str) -> Capacity {
    Capacity {
        availability_zone: zone.into(),
        capacity,
        instance_market_option: Some(market.into()),
    }
}

fn node(number: usize) -> Node {
    Node {
        name: format!("node-{number}"),
        provider_id: format!("aws:///a/{}", id(number)),
        internal_ip: Some(host(number)),
        ..Node::default()
    }
}

fn nodes(numbers: usize) -> Vec<Node> {
    (1..=numbers).map(node).collect()
}

fn with_annotation(name: &str, value: &str, mut node: Node) -> Node {
    node.annotations.insert(name.to_owned(), value.to_owned());
    node
}

fn master(mut node: Node) -> Node {
    node.labels
        .insert(names::MASTER_LABEL.to_owned(), "true".to_owned());
    node
}

fn worker(number: usize, used_bytes: u64) -> Worker {
    Worker {
        host: host(number),
        address: host(number),
        rpc_port: 29_999,
        web_port: 30_000,
        state: WorkerState::Live,
        capacity_bytes: TIB,
        used_bytes,
        last_contact_seconds: 0,
    }
}

/// Workers of node 1, 2, ... that hold so much.
fn holding<const N: usize>(used: [u64; N]) -> Vec<Worker> {
    let numbered = used.into_iter().enumerate();
    numbered.map(|(at, used)| worker(at + 1, used)).collect()
}

fn chosen(request: &Request, nodes: &[Node], workers: &[Worker]) -> Vec<String> {
    let choice = choose(request, Some(nodes), Some(workers));
    assert_eq!(choice.outcome, ChooseOutcome::Chosen, "{}", choice.reason);
    choice.instances.into_iter().map(String::from).collect()
}

fn ids<const N: usize>(numbers: [usize; N]) -> Vec<String> {
    numbers.into_iter().map(id).collect()
}

#[test]
fn the_payload_of_auto_scaling_is_read_as_it_is_documented() {
    let read: Request = serde_json::from_value(json!({
        "AutoScalingGroupARN": "arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:1:autoScalingGroupName/my-asg",
        "AutoScalingGroupName": "my-asg",
        "CapacityToTerminate": [{"AvailabilityZone": "us-east-1b", "Capacity": 2, "InstanceMarketOption": "on-demand"}],
        "Instances": [{"AvailabilityZone": "us-east-1b", "InstanceId": "i-0056faf8da3e1f75d", "InstanceType": "t2.nano",
                       "InstanceMarketOption": "on-demand"}],
        "Cause": "SCALE_IN",
        "HasMoreInstances": true,
    }))
    .expect("readable");
    assert_eq!(read.capacity_to_terminate[0].capacity, 2);
    assert_eq!(
        read.instances[0].instance_market_option.as_deref(),
        Some("on-demand")
    );
    let (types, zones) = read.types_and_zones();
    assert_eq!((types, zones), (["t2.nano"].into(), ["us-east-1b"].into()));
}

#[test]
fn a_worker_that_holds_nothing_goes_before_all_others() {
    assert_eq!(chosen(&request(3, 1), &nodes(3), &holding([5, 0, 9])), ids([2]));
}

#[test]
fn then_the_fewest_bytes_go() {
    assert_eq!(
        chosen(&request(4, 2), &nodes(4), &holding([TIB, 70, 80, 60])),
        ids([4, 2])
    );
}

#[test]
fn an_instance_that_is_no_node_or_has_no_worker_holds_nothing() {
    assert_eq!(chosen(&request(3, 2), &nodes(2), &[worker(1, 1)]), ids([2, 3]));
}

#[test]
fn a_worker_that_a_drain_took_out_of_service_holds_nothing_any_more() {
    let out = |number| Worker {
        state: WorkerState::Decommissioned,
        ..worker(number, TIB)
    };
    let mut nodes = nodes(3);
    nodes[2] = with_annotation(
        names::DECOMMISSIONED_AT_ANNOTATION,
        "2026-11-23T10:00:00Z",
        node(3),
    );
    assert_eq!(
        chosen(&request(3, 1), &nodes, &[worker(1, 5), out(2), out(3)]),
        ids([3])
    );
}

#[test]
fn a_worker_that_somebody_else_decommissioned_may_hold_all_that_it_has() {
    let out = Worker {
        state: WorkerState::Decommissioned,
        ..worker(1, TIB)
    };
    assert_eq!(chosen(&request(2, 1), &nodes(2), &[out, worker(2, 5)]), ids([2]));
}

#[test]
fn of_two_registrations_of_one_host_the_one_in_service_counts() {
    let old = Worker {
        state: WorkerState::Lost,
        ..worker(1, 0)
    };
    for workers in [
        [old.clone(), worker(1, 9), worker(2, 5)],
        [worker(1, 9), old, worker(2, 5)],
    ] {
        assert_eq!(chosen(&request(2, 1), &nodes(2), &workers), ids([2]));
    }
}

#[test]
fn of_equals_one_that_leaves_already_goes_first_and_then_the_groups_order_holds() {
    let mut nodes = nodes(3);
    nodes[1] = with_annotation(names::DRAIN_SINCE_ANNOTATION, "2026-11-23T10:00:00Z", node(2));
    assert_eq!(
        chosen(&request(3, 3), &nodes, &holding([7, 7, 7])),
        ids([2, 1, 3])
    );
}

#[test]
fn a_master_stays_while_another_can_go_however_much_that_one_holds() {
    let mut nodes = nodes(2);
    nodes[0] = master(node(1));
    assert_eq!(chosen(&request(2, 1), &nodes, &holding([0, TIB])), ids([2]));
}

#[test]
fn a_node_that_cluster_autoscaler_must_leave_is_treated_like_a_master() {
    let mut nodes = nodes(2);
    nodes[0] = with_annotation(names::SCALE_DOWN_DISABLED_ANNOTATION, "true", node(1));
    assert_eq!(chosen(&request(2, 1), &nodes, &holding([0, TIB])), ids([2]));
    nodes[0] = with_annotation(names::SCALE_DOWN_DISABLED_ANNOTATION, "false", node(1));
    assert_eq!(chosen(&request(2, 1), &nodes, &holding([0, TIB])), ids([1]));
}

#[test]
fn a_node_that_only_its_own_drain_keeps_from_cluster_autoscaler_goes_first() {
    let mut nodes = nodes(2);
    nodes[1] = with_annotation(names::SCALE_DOWN_DISABLED_ANNOTATION, "true", node(2));
    nodes[1] = with_annotation(names::SCALE_DOWN_HELD_ANNOTATION, "true", nodes[1].clone());
    assert_eq!(chosen(&request(2, 1), &nodes, &holding([0, 0])), ids([1]));
    nodes[1] = with_annotation(
        names::DRAIN_SINCE_ANNOTATION,
        "2026-11-23T10:00:00Z",
        nodes[1].clone(),
    );
    assert_eq!(chosen(&request(2, 1), &nodes, &holding([0, 0])), ids([2]));
}

#[test]
fn a_master_goes_where_nothing_else_of_its_zone_and_market_can() {
    let mut nodes = nodes(3);
    nodes[0] = master(node(1));
    let mut request = request(2, 2);
    request.instances.push(candidate(3, "b", "on-demand"));
    assert_eq!(chosen(&request, &nodes, &holding([0, 5, 5])), ids([2, 1]));
}

#[test]
fn each_zone_and_market_gives_exactly_what_was_asked_of_it() {
    let request = Request {
        capacity_to_terminate: vec![
            wanted("a", 1, "on-demand"),
            wanted("a", 1, "spot"),
            wanted("b", 2, "on-demand"),
        ],
        instances: vec![
            candidate(1, "a", "on-demand"),
            candidate(2, "a", "on-demand"),
            candidate(3, "a", "spot"),
            candidate(4, "b", "on-demand"),
            candidate(5, "b", "on-demand"),
            candidate(6, "b", "on-demand"),
            candidate(7, "b", "spot"),
            candidate(8, "c", "on-demand"),
        ],
        ..request(0, 0)
    };
    let workers = holding([9, 8, 9, 3, 1, 2, 0, 0]);
    assert_eq!(chosen(&request, &nodes(8), &workers), ids([2, 3, 5, 6]));
}

#[test]
fn two_entries_of_one_zone_and_market_take_different_instances() {
    let mut request = request(3, 1);
    request.capacity_to_terminate.push(Capacity {
        instance_market_option: None,
        ..wanted("a", 1, "")
    });
    assert_eq!(chosen(&request, &nodes(3), &holding([3, 2, 1])), ids([3, 2]));
}

#[test]
fn fewer_than_asked_go_where_the_proposal_has_no_more() {
    assert_eq!(chosen(&request(1, 3), &nodes(1), &holding([5])), ids([1]));
    assert!(chosen(&request(3, 0), &nodes(3), &holding([0, 0, 0])).is_empty());
}

#[test]
fn without_sight_of_the_cache_the_groups_own_proposal_stands() {
    let request = request(3, 1);
    for (nodes, workers) in [
        (None, None),
        (None, Some(holding([0, 1, 2]))),
        (Some(nodes(3)), None),
    ] {
        let choice = choose(&request, nodes.as_deref(), workers.as_deref());
        assert_eq!(choice.outcome, ChooseOutcome::Unseen);
        let proposed: Vec<_> = choice.instances.into_iter().map(String::from).collect();
        assert_eq!(proposed, ids([1, 2, 3]));
    }
}

#[test]
fn a_master_that_is_seen_is_kept_out_of_the_groups_own_proposal_while_others_can_go() {
    let mut nodes = nodes(3);
    nodes[0] = master(node(1));
    nodes[1] = master(node(2));
    let proposed = |capacity| {
        let choice = choose(&request(3, capacity), Some(&nodes), None);
        choice.instances.into_iter().map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(proposed(1), ids([3]));
    assert_eq!(proposed(2), ids([1, 3]));
    assert_eq!(proposed(3), ids([1, 2, 3]));
}

#[test]
fn the_reason_names_a_few_with_what_they_may_hold_and_counts_the_others() {
    let workers: Vec<_> = (1..=30).map(|number| worker(number, number as u64)).collect();
    let choice = choose(&request(30, 12), Some(&nodes(30)), Some(&workers));
    assert!(
        choice
            .reason
            .starts_with("of 30 candidates for SCALE_IN: i-00000001 (at most 1 bytes nowhere else), "),
        "{}",
        choice.reason
    );
    assert!(choice.reason.ends_with(" and 2 more"), "{}", choice.reason);
}

/// 5,000 of 30,000 candidates, the most that Auto Scaling names, within the second that all of it may take.
#[test]
fn the_largest_group_there_is_takes_a_fraction_of_a_second() {
    let mut request = request(30_000, 5_000);
    request.instances.reverse();
    let spread = |number: usize| format!("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
    let nodes: Vec<_> = (1..=30_000)
        .map(|number| Node {
            internal_ip: Some(spread(number)),
            ..node(number)
        })
        .collect();
    let workers: Vec<_> = (1..=30_000)
        .map(|number| Worker {
            host: spread(number),
            ..worker(number, (number * 7_919 % 30_011) as u64)
        })
        .collect();
    let began = std::time::Instant::now();
    let choice = choose(&request, Some(&nodes), Some(&workers));
    let took = began.elapsed();
    assert_eq!(choice.instances.len(), 5_000);
    assert!(took.as_millis() < 500, "{took:?}");
}
