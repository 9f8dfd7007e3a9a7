"""The job service in front of Cog servers: HTTP API, durable queue, files, web page."""
