# SPDX-License-Identifier: MIT
"""Plots of a trace."""
