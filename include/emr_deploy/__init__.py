"""Brings pipelines to where they run: infrastructure, job code and what it needs, packages, and a check of what profiles name.

Commands of people and of a build server; nothing that Airflow runs imports it.
"""
