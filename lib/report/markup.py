"""The templates of the pages (Jinja2), in a module so that a change of them makes the stage that uses them stale."""

HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
"""
PAGE = (
    HEAD
    + """\
<title>{{ title }}</title>
<style>
  body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 0 auto; max-width: 1240px; padding: 1rem; }
  h1 { font-size: 1.5rem; margin: 0.2rem 0 0.6rem; }
  h2 { font-size: 1.15rem; margin: 2rem 0 0.2rem; border-top: 1px solid #ddd; padding-top: 1rem; }
  p { margin: 0.2rem 0 0.6rem; max-width: 75ch; }
  nav a { margin-right: 0.9em; white-space: nowrap; }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1rem; margin: 0.6rem 0; }
  dt { color: #666; } dd { margin: 0; overflow-wrap: anywhere; }
  .chart { width: 100%; min-height: 60px; }
  .chart .vega-bind { margin: 0.3rem 0; }
  .grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 540px), 1fr)); gap: 0 2rem; }
  .grid section { min-width: 0; }
  table { font-variant-numeric: tabular-nums; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<nav>
{% for table, _ in tables %}
<a href="#section-{{ table.name }}">{{ table.title }}</a>
{% endfor %}
<a href="#charts">Charts</a>
{% for address, text in links.items() %}
<a href="{{ address }}">{{ text }}</a>
{% endfor %}
</nav>
<dl>
{% for name, fact in facts.items() %}
<dt>{{ name }}</dt><dd>{{ fact }}</dd>
{% endfor %}
</dl>
{{ sorting }}
{% for table, html in tables %}
<section id="section-{{ table.name }}">
<h2>{{ table.title }}</h2>
<p>{{ table.words }}</p>
{{ html }}
</section>
{% endfor %}
<div class="grid" id="charts">
{% for chart in charts %}
<section>
<h2>{{ chart.title }}</h2>
<p>{{ chart.words }}</p>
<div class="chart" id="chart-{{ chart.name }}"></div>
</section>
{% endfor %}
</div>
<script>{{ drawing }}</script>
<script>
  const specs = {{ specs }};
  for (const [name, spec] of Object.entries(specs)) {
    vegaEmbed("#chart-" + name, spec, {actions: {export: true, source: false, compiled: false, editor: false}});
  }
</script>
</body>
</html>
"""
)
INDEX = (
    HEAD
    + """\
<title>Filter pruning benchmark</title>
<style>
  body { font: 15px/1.45 system-ui, sans-serif; color: #222; margin: 0 auto; max-width: 1100px; padding: 1rem; }
  h1 { font-size: 1.5rem; }
  article { border-top: 1px solid #ddd; padding: 0.6rem 0; }
  h2 { font-size: 1.1rem; margin: 0; }
  p { margin: 0.2rem 0; }
</style>
</head>
<body>
<h1>Filter pruning benchmark: all suites</h1>
{% for line in lines %}
<article>
<h2><a href="{{ line.name }}.html">{{ line.title }}</a></h2>
<p>{{ line.rows }} {{ "row" if line.rows == 1 else "rows" }},
{{ line.seeds }} {{ "seed" if line.seeds == 1 else "seeds" }}. Dense: {{ line.dense }}.
Best pruned row: {{ line.best }}.</p>
<p>{{ line.verdict }}</p>
</article>
{% endfor %}
</body>
</html>
"""
)
