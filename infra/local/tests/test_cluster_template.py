"""infra/cluster.yaml and the settings in samples/: what the reference deployment had wrong cannot be wrong here."""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
CLUSTER = CHECKOUT / "infra/cluster.yaml"
ENVIRONMENTS = ("prod", "dev")


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short tags as what they are short for."""


def _tagged(loader: yaml.Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if tag == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _tagged)


def read(path: Path) -> dict[str, Any]:
    return yaml.load(path.read_text(), Loader=_Loader)


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    found = {name: each["Properties"] for name, each in template["Resources"].items() if each["Type"] == kind}
    assert found, f"nothing is a {kind}"
    return found


def values(node: Any, key: str) -> list[Any]:
    """Whatever stands under a key, at any depth."""
    if isinstance(node, list):
        return [found for each in node for found in values(each, key)]
    if not isinstance(node, dict):
        return []
    return [value for name, value in node.items() if name == key] + [found for each in node.values() for found in values(each, key)]


def constant(name: str) -> str:
    names = (CHECKOUT / "functions/shared/domain/src/names.rs").read_text()
    found = re.search(rf'pub const {name}: &str = "([^"]+)";', names)
    assert found, f"names.rs has no {name}"
    return found[1]


def settings(environment: str) -> dict[str, str]:
    return json.loads((CHECKOUT / f"samples/cluster/{environment}.json").read_text())["Parameters"]


def samconfig(environment: str) -> dict[str, Any]:
    known = tomllib.loads((CHECKOUT / "samples/samconfig.toml").read_text())[environment]
    given = known["global"]["parameters"] | known["deploy"]["parameters"]
    return given | {"parameter_overrides": dict(each.split("=", 1) for each in given["parameter_overrides"])}


def complaint(name: str, value: str, parameter: dict[str, Any]) -> str | None:
    """What CloudFormation would say of a parameter's value."""
    several = parameter["Type"] == "CommaDelimitedList"
    for each in value.split(",") if several else [value]:
        if "AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"], each):
            return f"{name}={each!r} does not match {parameter['AllowedPattern']}"
    if "AllowedValues" in parameter and value not in [str(allowed) for allowed in parameter["AllowedValues"]]:
        return f"{name}={value!r} is none of {parameter['AllowedValues']}"
    if parameter["Type"] == "Number":
        least, most = parameter.get("MinValue", float("-inf")), parameter.get("MaxValue", float("inf"))
        if not (re.fullmatch(r"-?[0-9]+", value) and least <= int(value) <= most):
            return f"{name}={value!r} is no number from {least} to {most}"
    return None


def complaints(template: dict[str, Any], given: dict[str, str]) -> list[str]:
    parameters = template["Parameters"]
    unknown = [f"there is no parameter {name}" for name in given if name not in parameters]
    missing = [f"{name} has neither a value nor a default" for name in parameters.keys() - given if "Default" not in parameters[name]]
    wrong = [complaint(name, value, parameters[name]) for name, value in given.items() if name in parameters]
    return unknown + missing + [each for each in wrong if each]


def _subnets(block: str, count: int, bits: int) -> list[str]:
    networks = ipaddress.ip_network(block).subnets(new_prefix=32 - bits)
    return [str(network) for network in itertools.islice(networks, count)]


NO_VALUE = {"Ref": "AWS::NoValue"}
INTRINSICS = {
    "Fn::And": lambda *given: all(given),
    "Fn::Cidr": _subnets,
    "Fn::Equals": lambda left, right: left == right,
    # A list of a parameter is the text that was given.
    "Fn::Join": lambda delimiter, parts: parts if isinstance(parts, str) else delimiter.join(parts),
    "Fn::Not": lambda given: not given,
    # Parts of what only a resource tells stay as they are.
    "Fn::Select": lambda index, parts: parts[index] if isinstance(parts, list) else {"Fn::Select": [index, parts]},
}


class Deployed:
    """The template as CloudFormation reads it with an environment's settings: what is made, and with which values."""

    def __init__(self, template: dict[str, Any], given: dict[str, str]) -> None:
        self.template = template
        defaults = {name: str(each.get("Default", "")) for name, each in template["Parameters"].items()}
        self.parameters = defaults | given
        resources = template["Resources"].items()
        self.made = {name: each for name, each in resources if "Condition" not in each or self.holds(each["Condition"])}

    def holds(self, condition: str) -> bool:
        return self.value(self.template["Conditions"][condition])

    def value(self, node: Any) -> Any:
        """Resolves what depends on parameters alone; references to resources stay."""
        if isinstance(node, list):
            resolved = [self.value(each) for each in node]
            return [each for each in resolved if each != NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(name, argument)] = node.items()
            if name == "Ref" and argument in self.parameters:
                return self.parameters[argument]
            if name == "Fn::If":
                return self.value(argument[1] if self.holds(argument[0]) else argument[2])
            if name == "Condition" and isinstance(argument, str):
                return self.holds(argument)
            if name in INTRINSICS:
                return INTRINSICS[name](*self.value(argument))
        resolved = {name: self.value(each) for name, each in node.items()}
        return {name: each for name, each in resolved.items() if each != NO_VALUE}

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        found = {name: self.value(each["Properties"]) for name, each in self.made.items() if each["Type"] == kind}
        assert found, f"nothing is a {kind}"
        return found

    def refused(self) -> list[str]:
        """What the template's rules say."""
        said = []
        for rule in self.template["Rules"].values():
            if self.value(rule.get("RuleCondition", True)):
                said += [each["AssertDescription"] for each in rule["Assertions"] if not self.value(each["Assert"])]
        return said


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    return read(CLUSTER)


def test_the_template_is_small_enough_to_be_sent_as_it_is() -> None:
    assert len(CLUSTER.read_bytes()) < 51_200


def test_the_template_is_plain_cloudformation(cluster: dict[str, Any]) -> None:
    assert "Transform" not in cluster and not values(cluster, "Fn::Transform")


# ---- Nodes


def test_the_metadata_service_answers_version_2_only_and_no_pod(cluster: dict[str, Any]) -> None:
    for name, template in of_type(cluster, "AWS::EC2::LaunchTemplate").items():
        metadata = template["LaunchTemplateData"]["MetadataOptions"]
        assert metadata == {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}, name


def test_every_root_volume_is_encrypted_gp3(cluster: dict[str, Any]) -> None:
    for name, template in of_type(cluster, "AWS::EC2::LaunchTemplate").items():
        [root] = template["LaunchTemplateData"]["BlockDeviceMappings"]
        assert root["Ebs"]["Encrypted"] is True and root["Ebs"]["VolumeType"] == "gp3", name


def test_nobody_can_log_in_by_ssh(cluster: dict[str, Any]) -> None:
    assert not values(cluster, "KeyName") and not values(cluster, "RemoteAccess") and not values(cluster, "Ec2SshKey")
    assert not of_type(cluster, "AWS::EC2::SecurityGroup")["FunctionSecurityGroup"].get("SecurityGroupIngress")
    for name, rule in of_type(cluster, "AWS::EC2::SecurityGroupIngress").items():
        assert not rule["FromPort"] <= 22 <= rule["ToPort"], name


def test_nothing_lets_the_whole_internet_in(cluster: dict[str, Any]) -> None:
    for name, rule in of_type(cluster, "AWS::EC2::SecurityGroupIngress").items():
        assert "SourceSecurityGroupId" in rule and "CidrIp" not in rule and "CidrIpv6" not in rule, name
    defaults = {name: str(each.get("Default", "")) for name, each in cluster["Parameters"].items()}
    assert not [name for name, default in defaults.items() if "/0" in default]
    assert defaults["PublicAccessCidrs"] == ""
    for network in ("0.0.0.0/0", "0.0.0.0/1,128.0.0.0/1", "::/0", "203.0.113.7"):
        assert complaint("PublicAccessCidrs", network, cluster["Parameters"]["PublicAccessCidrs"]), network
    for network in ("203.0.113.7/32", "10.0.0.0/8,198.51.100.0/24"):
        assert not complaint("PublicAccessCidrs", network, cluster["Parameters"]["PublicAccessCidrs"]), network


def test_nodes_are_in_private_subnets_and_have_no_public_address(cluster: dict[str, Any]) -> None:
    for name, group in of_type(cluster, "AWS::EKS::Nodegroup").items():
        assert set(values(group["Subnets"], "Ref")) <= {"PrivateSubnetA", "PrivateSubnetB", "PrivateSubnetC", "AWS::NoValue"}, name
    for name, subnet in of_type(cluster, "AWS::EC2::Subnet").items():
        assert not subnet.get("MapPublicIpOnLaunch"), name
        role = "kubernetes.io/role/elb" if name.startswith("Public") else "kubernetes.io/role/internal-elb"
        assert {"Key": role, "Value": "1"} in subnet["Tags"], name


def test_nodes_boot_an_image_that_is_still_made(cluster: dict[str, Any]) -> None:
    for name, group in of_type(cluster, "AWS::EKS::Nodegroup").items():
        assert group["AmiType"] == "AL2023_x86_64_STANDARD", name


def test_cache_nodes_begin_with_the_taint_that_schedule_worker_takes_off(cluster: dict[str, Any]) -> None:
    condition, [taint], otherwise = of_type(cluster, "AWS::EKS::Nodegroup")["Nodes"]["Taints"]["Fn::If"]
    assert condition == "CachesOnNvme" and otherwise == {"Ref": "AWS::NoValue"}
    assert taint == {"Key": constant("STARTUP_TAINT"), "Value": "joining", "Effect": "NO_SCHEDULE"}
    readme = (CHECKOUT / "README.md").read_text()
    assert f"{taint['Key']}={taint['Value']}:NoSchedule" in readme


def test_the_masters_nodes_take_pods_from_the_beginning_and_are_labelled_for_them(cluster: dict[str, Any]) -> None:
    masters = of_type(cluster, "AWS::EKS::Nodegroup")["Masters"]
    assert "Taints" not in masters
    assert masters["Labels"] == {constant("MASTER_LABEL"): "true"}
    _, _, nodes = of_type(cluster, "AWS::EKS::Nodegroup")["Nodes"]["Labels"]["Fn::If"]
    assert nodes[constant("MASTER_LABEL")] == {"Fn::If": ["HasMasterNodes", {"Ref": "AWS::NoValue"}, "true"]}


def test_cluster_autoscaler_learns_of_taint_and_labels_of_an_empty_group(cluster: dict[str, Any]) -> None:
    nodes = of_type(cluster, "AWS::EKS::Nodegroup")["Nodes"]
    template = "k8s.io/cluster-autoscaler/node-template"
    _, [taint], _ = nodes["Taints"]["Fn::If"]
    _, _, labels = nodes["Labels"]["Fn::If"]
    _, on_nvme, in_memory = nodes["Tags"]["Fn::If"]
    assert on_nvme == {f"{template}/taint/{taint['Key']}": f"{taint['Value']}:NoSchedule"}
    assert in_memory == {f"{template}/label/{label}": value for label, value in labels.items()}
    # 128 characters is what a tag's key may have.
    assert all(len(key) <= 128 for key in on_nvme | in_memory)


def test_cluster_autoscaler_changes_only_the_groups_of_its_cluster(cluster: dict[str, Any]) -> None:
    [policy] = of_type(cluster, "AWS::IAM::Role")["ClusterAutoscalerRole"]["Policies"]
    statements = {each["Sid"]: each for each in policy["PolicyDocument"]["Statement"]}
    changes = statements.pop("ScaleGroupsOfThisCluster")
    assert changes["Condition"] == {"StringEquals": {"aws:ResourceTag/eks:cluster-name": {"Ref": "ClusterName"}}}
    looks = [action for each in statements.values() for action in each["Action"] if isinstance(each["Action"], list)]
    assert all(re.match(r"[a-z0-9]+:(Describe|Get)", action) for action in looks)
    assert statements["LookAtLabelsAndTaints"]["Action"] == "eks:DescribeNodegroup"


# ---- Control plane


def test_secrets_are_encrypted_by_a_key_of_the_clusters_own(cluster: dict[str, Any]) -> None:
    [made] = of_type(cluster, "AWS::EKS::Cluster").values()
    assert made["EncryptionConfig"] == [{"Provider": {"KeyArn": {"Fn::GetAtt": ["SecretsKey", "Arn"]}}, "Resources": ["secrets"]}]
    assert of_type(cluster, "AWS::KMS::Key")["SecretsKey"]["EnableKeyRotation"] is True


def test_every_kind_of_the_control_planes_logs_is_kept_for_a_time_that_ends(cluster: dict[str, Any]) -> None:
    [made] = of_type(cluster, "AWS::EKS::Cluster").values()
    kinds = {each["Type"] for each in made["Logging"]["ClusterLogging"]["EnabledTypes"]}
    assert kinds == {"api", "audit", "authenticator", "controllerManager", "scheduler"}
    logs = of_type(cluster, "AWS::Logs::LogGroup")["ControlPlaneLogs"]
    assert logs == {"LogGroupName": {"Fn::Sub": "/aws/eks/${ClusterName}/cluster"}, "RetentionInDays": {"Ref": "LogRetentionDays"}}
    assert cluster["Resources"]["Cluster"]["DependsOn"] == "ControlPlaneLogs"


def test_who_may_what_in_the_cluster_is_said_by_access_entries(cluster: dict[str, Any]) -> None:
    [made] = of_type(cluster, "AWS::EKS::Cluster").values()
    assert made["AccessConfig"]["AuthenticationMode"] == "API"
    network = made["ResourcesVpcConfig"]
    assert network["EndpointPrivateAccess"] is True and network["EndpointPublicAccess"] == {"Fn::If": ["IsPublic", True, False]}


def test_all_add_ons_are_there_and_each_version_can_be_pinned(cluster: dict[str, Any]) -> None:
    add_ons = of_type(cluster, "AWS::EKS::Addon")
    assert {each["AddonName"] for each in add_ons.values()} == {
        "aws-ebs-csi-driver",
        "coredns",
        "eks-pod-identity-agent",
        "kube-proxy",
        "vpc-cni",
    }
    for name, add_on in add_ons.items():
        condition, pinned, otherwise = add_on["AddonVersion"]["Fn::If"]
        asked = {"Fn::Not": [{"Fn::Equals": [pinned, ""]}]}
        assert cluster["Conditions"][condition] == asked and otherwise == {"Ref": "AWS::NoValue"}, name
        assert pinned["Ref"] == f"{name}Version"


def test_no_pod_of_the_network_is_waited_for_by_nodes_that_wait_for_it(cluster: dict[str, Any]) -> None:
    resources = cluster["Resources"]
    for group in ("Nodes", "Masters"):
        assert set(resources[group]["DependsOn"]) == {"VpcCni", "KubeProxy", "PodIdentityAgent"}
    for add_on in ("CoreDns", "EbsCsiDriver"):
        [tag] = resources[add_on]["Properties"]["Tags"]
        assert values(tag, "Fn::GetAtt") == [["Masters", "NodegroupName"], ["Nodes", "NodegroupName"]], add_on


# ---- Rights of pods


@pytest.mark.parametrize(
    ("role", "account"),
    [
        ("VpcCniRole", "aws-node"),
        ("EbsCsiDriverRole", "ebs-csi-controller-sa"),
        ("ClusterAutoscalerRole", "cluster-autoscaler"),
    ],
)
def test_a_pods_role_is_for_one_service_account_of_this_cluster(cluster: dict[str, Any], role: str, account: str) -> None:
    [statement] = of_type(cluster, "AWS::IAM::Role")[role]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    asked = statement["Condition"]["StringEquals"]
    assert asked["aws:RequestTag/kubernetes-service-account"] == account
    assert asked["aws:RequestTag/kubernetes-namespace"] == "kube-system"
    assert asked["aws:RequestTag/eks-cluster-arn"]["Fn::Sub"].endswith(":cluster/${ClusterName}")
    associations = list(of_type(cluster, "AWS::EKS::PodIdentityAssociation").values())
    for several in values(of_type(cluster, "AWS::EKS::Addon"), "PodIdentityAssociations"):
        associations += several
    assert [each["ServiceAccount"] for each in associations if each["RoleArn"] == {"Fn::GetAtt": [role, "Arn"]}] == [account]


def test_alluxio_logs_in_in_the_only_way_that_its_aws_sdk_knows(cluster: dict[str, Any]) -> None:
    text, names = of_type(cluster, "AWS::IAM::Role")["AlluxioRole"]["AssumeRolePolicyDocument"]["Fn::Sub"]
    provider = "arn:aws:iam::111122223333:oidc-provider/oidc.example/id/1"
    filled = {"OidcProvider": provider, "Issuer": "oidc.example/id/1", "AlluxioNamespace": "alluxio"}
    assert set(re.findall(r"\$\{([A-Za-z]+)\}", text)) == set(filled) and set(names) == {"Issuer"}
    for name, value in filled.items():
        text = text.replace(f"${{{name}}}", value)
    [statement] = json.loads(text)["Statement"]
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"]["StringEquals"] == {
        "oidc.example/id/1:aud": "sts.amazonaws.com",
        "oidc.example/id/1:sub": ["system:serviceaccount:alluxio:alluxio-master", "system:serviceaccount:alluxio:alluxio-worker"],
    }
    # Where both are there, EKS gives a pod Pod Identity alone.
    associated = [each["ServiceAccount"] for each in of_type(cluster, "AWS::EKS::PodIdentityAssociation").values()]
    assert not [account for account in associated if account.startswith("alluxio")]


def test_alluxio_reaches_one_bucket(cluster: dict[str, Any]) -> None:
    [policy] = of_type(cluster, "AWS::IAM::Role")["AlluxioRole"]["Policies"]
    reached = {each["Resource"]["Fn::Sub"] for each in policy["PolicyDocument"]["Statement"]}
    assert reached == {"arn:${AWS::Partition}:s3:::${AlluxioBucket}", "arn:${AWS::Partition}:s3:::${AlluxioBucket}/*"}


def test_no_right_is_a_wildcard(cluster: dict[str, Any]) -> None:
    for name, role in of_type(cluster, "AWS::IAM::Role").items():
        for action in values(role.get("Policies", []), "Action"):
            assert not [each for each in ([action] if isinstance(action, str) else action) if "*" in each], name


# ---- The functions' way in


def test_functions_reach_exactly_the_ports_that_they_talk_to(cluster: dict[str, Any]) -> None:
    def ports(rules: dict[Any, dict[str, Any]]) -> set[tuple[int, int]]:
        return {(rule["FromPort"], rule["ToPort"]) for rule in rules.values() if rule["IpProtocol"] == "tcp"}

    let_in = of_type(cluster, "AWS::EC2::SecurityGroupIngress")
    assert ports(let_in) == {(443, 443), (19998, 19998), (29999, 30000)}
    assert all(rule["SourceSecurityGroupId"] == {"Ref": "FunctionSecurityGroup"} for rule in let_in.values())
    group = of_type(cluster, "AWS::EC2::SecurityGroup")["FunctionSecurityGroup"]
    let_out = of_type(cluster, "AWS::EC2::SecurityGroupEgress") | dict(enumerate(group["SecurityGroupEgress"]))
    assert ports(let_out) == ports(let_in)
    described = read(CHECKOUT / "infra/template.yaml")["Parameters"]["SecurityGroupIds"]["Description"]
    assert {"443", "29999", "30000"} <= set(re.findall(r"[0-9]+", described))


def test_outputs_are_what_the_functions_stack_asks_for(cluster: dict[str, Any]) -> None:
    asked = read(CHECKOUT / "infra/template.yaml")["Parameters"]
    for name in ("ClusterName", "SubnetIds", "SecurityGroupIds", "AlluxioRoleArn", "RootUfs"):
        assert name in cluster["Outputs"] and name in asked
    place = cluster["Outputs"]["RootUfs"]["Value"]["Fn::Sub"].replace("${AlluxioBucket}", "123456789012-alluxio")
    assert complaint("RootUfs", place, asked["RootUfs"]) is None
    assert cluster["Outputs"]["NodeGroupName"]["Value"] == {"Fn::GetAtt": ["Nodes", "NodegroupName"]}


# ---- Names


def test_every_name_begins_with_the_clusters_or_the_stacks(cluster: dict[str, Any]) -> None:
    named = {"LaunchTemplateName", "NodegroupName", "LogGroupName", "RoleName", "PolicyName", "GroupName", "AliasName"}
    for name, resource in cluster["Resources"].items():
        for key in named & set(resource.get("Properties", {})):
            given = resource["Properties"][key]
            assert re.match(r"\$\{(ClusterName|AWS::StackName)\}|/aws/eks/\$\{ClusterName\}/", given["Fn::Sub"]), f"{name}.{key}"


# ---- Samples


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_clusters_settings_are_ones_that_the_template_takes(cluster: dict[str, Any], environment: str) -> None:
    assert complaints(cluster, settings(environment)) == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_settings_of_the_functions_are_ones_that_their_template_takes(environment: str) -> None:
    template = read(CHECKOUT / "infra/template.yaml")
    # As infra/deploy.py fills it in.
    looked_up = {"AutoScalingGroupNames": f"eks-tidegate-{environment}-nodes-88c60da1-1ce8-6e70-b535-28efb29bcfab"}
    assert complaints(template, samconfig(environment)["parameter_overrides"] | looked_up) == []


def test_a_wrong_value_is_complained_about(cluster: dict[str, Any]) -> None:
    wrong = settings("prod") | {"NodesMax": "4000", "NatGateways": "two", "ThirdZone": "us-west-2", "SshKey": "mine"}
    assert len(complaints(cluster, wrong)) == 4
    del wrong["ClusterName"]
    assert "ClusterName has neither a value nor a default" in complaints(cluster, wrong)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_there_is_one_name_of_the_cluster(environment: str) -> None:
    config = samconfig(environment)
    names = {settings(environment)["ClusterName"], config["parameter_overrides"]["ClusterName"], config["stack_name"], config["s3_prefix"]}
    assert names == {f"tidegate-{environment}"}
    assert config["tags"] == [f"tidegate-cluster=tidegate-{environment}"]


def test_no_document_names_another_cluster() -> None:
    known = {settings(environment)["ClusterName"] for environment in ENVIRONMENTS}
    for page in [CHECKOUT / "README.md", CHECKOUT / "samples/README.md", CHECKOUT / "docs/empty-account.md"]:
        named = set(re.findall(r"--(?:cluster-name|name|confirm) ([a-z][a-z0-9-]*)|CONFIRM=([a-z][a-z0-9-]*)", page.read_text()))
        assert {name for pair in named for name in pair if name} <= known, page


def test_prod_is_three_to_ten_nvme_nodes_and_three_masters_in_three_zones() -> None:
    prod = settings("prod")
    assert prod["Cache"] == "nvme" and prod["NodeInstanceType"] in ("m5d.4xlarge", "m5d.8xlarge")
    assert (prod["NodesMin"], prod["NodesMax"], prod["MasterNodes"]) == ("3", "10", "3")
    assert len({prod["FirstZone"], prod["SecondZone"], prod["ThirdZone"]}) == 3 and prod["NatGateways"] == "each-zone"
    assert samconfig("prod")["parameter_overrides"]["MasterReplicas"] == prod["MasterNodes"]


def test_dev_is_two_nodes_without_disks_one_nat_gateway_and_one_master() -> None:
    dev = settings("dev")
    assert dev["Cache"] == "memory" and dev["NodeInstanceType"] == "m5.xlarge"
    assert (dev["NodesMin"], dev["NodesDesired"], dev["NodesMax"], dev["MasterNodes"]) == ("2", "2", "2", "0")
    assert dev["NatGateways"] == "one"
    overrides = samconfig("dev")["parameter_overrides"]
    assert overrides["MasterReplicas"] == "1" and int(overrides["MemoryTierMib"]) > 0


def test_in_dev_a_master_and_a_worker_find_room_on_one_node() -> None:
    given = samconfig("dev")["parameter_overrides"]
    # A container may take 1 GiB more than heap and direct memory (JavaMemory::BESIDE_MIB).
    processes = ("Master", "JobMaster", "Worker", "JobWorker")
    wanted = sum(int(given[f"{name}HeapMib"]) + int(given[f"{name}DirectMib"]) + 1024 for name in processes)
    wanted += int(given["MemoryTierMib"])
    # Of 16 GiB, EKS keeps 255 + 11 MiB for each of 58 pods, and 100 to evict by; 1 GiB is for add-ons and jobs.
    assert wanted == 10496 and wanted < 16 * 1024 - (255 + 11 * 58) - 100 - 1024


@pytest.mark.parametrize(
    ("environment", "nat", "zones", "gateways"),
    [("prod", "each-zone", 3, 3), ("prod", "one", 3, 1), ("dev", "each-zone", 2, 2), ("dev", "one", 2, 1)],
)
def test_every_zone_has_subnets_of_its_own_and_a_way_out(
    cluster: dict[str, Any], environment: str, nat: str, zones: int, gateways: int
) -> None:
    deployed = Deployed(cluster, settings(environment) | {"NatGateways": nat})
    subnets = deployed.of_type("AWS::EC2::Subnet")
    assert len(subnets) == 2 * zones and len({each["AvailabilityZone"] for each in subnets.values()}) == zones
    networks = [ipaddress.ip_network(each["CidrBlock"]) for each in subnets.values()]
    assert all(network.subnet_of(ipaddress.ip_network(settings(environment)["VpcCidr"])) for network in networks)
    assert not [pair for pair in itertools.combinations(networks, 2) if pair[0].overlaps(pair[1])]
    for name, subnet in subnets.items():
        assert ipaddress.ip_network(subnet["CidrBlock"]).prefixlen == (24 if name.startswith("Public") else 18)
    assert len(deployed.of_type("AWS::EC2::NatGateway")) == gateways
    ways = {name: each["NatGatewayId"]["Ref"] for name, each in deployed.of_type("AWS::EC2::Route").items() if "NatGatewayId" in each}
    assert len(ways) == zones and len(set(ways.values())) == gateways
    [endpoint] = deployed.of_type("AWS::EC2::VPCEndpoint").values()
    assert len(endpoint["RouteTableIds"]) == zones


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_that_is_made_refers_to_what_is_not(cluster: dict[str, Any], environment: str) -> None:
    for bucket in ("", "under-store"):
        deployed = Deployed(cluster, settings(environment) | {"AlluxioBucket": bucket})
        for name in deployed.made:
            resource = deployed.value(deployed.made[name]["Properties"])
            referred = {*values(resource, "Ref"), *(target[0] for target in values(resource, "Fn::GetAtt"))}
            for text in values(resource, "Fn::Sub"):
                # Names that a second argument gives are its own.
                template, own = text if isinstance(text, list) else (text, {})
                referred |= set(re.findall(r"\$\{([A-Za-z0-9:]+)", template)) - set(own) - set(deployed.parameters)
            missing = {each for each in referred if not each.startswith("AWS::")} - set(deployed.made)
            assert not missing, f"{name} refers to {missing}"


def test_prods_cache_nodes_have_the_taint_and_its_masters_a_group_of_their_own(cluster: dict[str, Any]) -> None:
    groups = Deployed(cluster, settings("prod")).of_type("AWS::EKS::Nodegroup")
    assert [taint["Key"] for taint in groups["Nodes"]["Taints"]] == [constant("STARTUP_TAINT")]
    assert "Labels" not in groups["Nodes"]
    assert groups["Masters"]["ScalingConfig"] == {"MinSize": "3", "DesiredSize": "3", "MaxSize": "3"}


def test_devs_nodes_are_open_at_once_for_master_and_workers(cluster: dict[str, Any]) -> None:
    groups = Deployed(cluster, settings("dev")).of_type("AWS::EKS::Nodegroup")
    assert set(groups) == {"Nodes"} and "Taints" not in groups["Nodes"]
    assert groups["Nodes"]["Labels"] == {"alluxio-memory-worker": "true", constant("MASTER_LABEL"): "true"}


def test_nodes_that_carry_masters_are_where_the_masters_volumes_can_follow(cluster: dict[str, Any]) -> None:
    def subnets(environment: str) -> list[str]:
        nodes = Deployed(cluster, settings(environment)).of_type("AWS::EKS::Nodegroup")["Nodes"]
        return values(nodes["Subnets"], "Ref")

    assert subnets("dev") == ["PrivateSubnetA"]
    assert subnets("prod") == ["PrivateSubnetA", "PrivateSubnetB", "PrivateSubnetC"]


def test_the_api_server_is_public_only_where_somebody_is_named(cluster: dict[str, Any]) -> None:
    def network(**given: str) -> dict[str, Any]:
        return Deployed(cluster, settings("prod") | given).of_type("AWS::EKS::Cluster")["Cluster"]["ResourcesVpcConfig"]

    assert network()["EndpointPublicAccess"] is False and "PublicAccessCidrs" not in network()
    named = network(PublicAccessCidrs="203.0.113.7/32")
    assert named["EndpointPublicAccess"] is True and named["PublicAccessCidrs"] == "203.0.113.7/32"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_samples_keep_the_templates_rules_and_others_are_told(cluster: dict[str, Any], environment: str) -> None:
    assert Deployed(cluster, settings(environment)).refused() == []
    [told] = Deployed(cluster, settings(environment) | {"SecondZone": "us-west-2a"}).refused()
    assert told == "FirstZone and SecondZone must be two zones"
    [told] = Deployed(cluster, settings(environment) | {"Cache": "nvme", "MasterNodes": "0"}).refused()
    assert "MasterNodes must be 1 or 3" in told


def test_cluster_and_control_plane_of_the_local_world_are_of_one_minor(cluster: dict[str, Any]) -> None:
    module = (CHECKOUT / "infra/local/setup/go/control-plane/go.mod").read_text()
    found = re.search(r"k8s\.io/kubernetes v(1\.[0-9]+)\.", module)
    assert found
    for minor in [cluster["Parameters"]["KubernetesVersion"]["Default"], *(settings(each)["KubernetesVersion"] for each in ENVIRONMENTS)]:
        assert minor == found[1]


# ---- User data


def test_nodes_get_the_user_data_of_this_checkout() -> None:
    if not (CHECKOUT / "infra/user-data/render.py").exists():
        pytest.skip("infra/user-data/render.py is not there")
    done = subprocess.run([sys.executable, CHECKOUT / "infra/embed_user_data.py", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_user_data_is_embedded_as_it_is(tmp_path: Path) -> None:
    infra = tmp_path / "infra"
    (infra / "user-data").mkdir(parents=True)
    script = infra / "embed_user_data.py"
    script.write_text((CHECKOUT / "infra/embed_user_data.py").read_text())
    (infra / "cluster.yaml").write_text(CLUSTER.read_text())
    head = 'MIME-Version: 1.0\n\n#!/bin/bash\n\tif x; then  # ${not a parameter} #\n  echo "a: b"\nfi\nEnvironment=LAYOUT='
    tail = "\n\n[Install]\n"
    text = f"{head}pv-nvme{tail}"
    (infra / "user-data/render.py").write_text(f"import sys\nassert sys.argv[1:] == ['--cloudformation']\nprint({text!r}, end='')\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)

    refused = run("--check")
    assert refused.returncode == 1 and "make cluster-user-data" in refused.stderr
    assert run().returncode == 0 and run("--check").returncode == 0
    template = read(infra / "cluster.yaml")
    assert template["Resources"]["NodeLaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"] == {
        "Fn::Base64": {"Fn::Join": ["", [head, {"Ref": "DiskLayout"}, tail]]}
    }
    # And nothing else has changed.
    del template["Resources"]["NodeLaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]
    before = read(CLUSTER)
    del before["Resources"]["NodeLaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]
    assert template == before
