"""Looks at a model that two processes have a part each of: what a test starts twice."""

from __future__ import annotations

import json

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from iua_widget import IUAError, IUAMonitor
from iua_widget.training.driven_monitor import DrivenMonitor, Processes


def figures(model: nn.Module, processes: Processes) -> list[float]:
    probes = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    driven = DrivenMonitor(probes, {"engine": "reference"}, processes, "iua", None)
    driven.begin(model, 0, is_first=distributed.get_rank() == 0)
    monitor: IUAMonitor = driven.monitor
    return monitor.history()["mean inactive"].tolist()


def main() -> None:
    distributed.init_process_group("gloo")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU())
    whole = figures(model, "each")
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    try:
        figures(model, "first")
    except IUAError as error:
        refused = str(error)
    print(json.dumps({"same": figures(model, "each") == whole, "refused": refused}))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
