# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module of this name need not be sent to the controller itself."""

from __future__ import annotations

from ansible_collections.apb.catalog.plugins.plugin_utils.in_process import ActionModule

__all__ = ["ActionModule"]
