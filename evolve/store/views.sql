-- What people look at: in `datasette evolve.db`, in any SQL client. Plain SQL, no dialect.
-- Scores of a program are those of its newest search evaluation.

CREATE VIEW leaderboard AS
SELECT programs.run_id AS run,
       rank() OVER (
           PARTITION BY programs.run_id
           ORDER BY CASE runs.direction WHEN 'maximize' THEN -evaluations.objective
                                        ELSE evaluations.objective END
       ) AS rank,
       programs.id AS program,
       evaluations.objective,
       programs.operator,
       nullif(proposals.model, '') AS model,
       programs.generation,
       proposals.iteration,
       evaluations.measures,
       evaluations.metrics,
       programs.summary,
       evaluations.message AS feedback,
       programs.hash
FROM evaluations
JOIN programs ON programs.id = evaluations.program_id
JOIN runs ON runs.id = programs.run_id
LEFT JOIN proposals ON proposals.id = programs.proposal_id
WHERE evaluations.id IN (
    SELECT max(id) FROM evaluations WHERE stage = 'search' GROUP BY program_id
) AND evaluations.outcome = 'ok';

-- An elite is what entered a cell of the run's archive and was not replaced there since; a retired
-- island has none.
CREATE VIEW elites AS
SELECT entered.run_id AS run,
       entered.island,
       entered.cell,
       entered.program_id AS program,
       CASE runs.direction WHEN 'maximize' THEN 1 ELSE -1 END * coalesce(
           (SELECT measured.fitness FROM archive_events AS measured
            WHERE measured.run_id = entered.run_id AND measured.archive = entered.archive
              AND measured.island = entered.island AND measured.cell = entered.cell
              AND measured.program_id = entered.program_id AND measured.status = 'measured'
              AND measured.id > entered.id
            ORDER BY measured.id DESC LIMIT 1),
           entered.fitness) AS objective,
       entered.measures,
       programs.operator,
       nullif(proposals.model, '') AS model,
       programs.generation,
       programs.summary,
       entered.id AS event
FROM archive_events AS entered
JOIN runs ON runs.id = entered.run_id
JOIN programs ON programs.id = entered.program_id
LEFT JOIN proposals ON proposals.id = programs.proposal_id
WHERE entered.archive = runs.archive AND entered.status NOT IN ('left', 'measured')
AND NOT EXISTS (
    SELECT 1 FROM archive_events AS later
    WHERE later.run_id = entered.run_id AND later.archive = entered.archive
      AND later.island = entered.island
      AND later.cell = entered.cell AND later.replaced_id = entered.program_id
      AND later.id > entered.id
) AND NOT EXISTS (
    SELECT 1 FROM archive_events AS retired
    WHERE retired.run_id = entered.run_id AND retired.archive = entered.archive
      AND retired.island = entered.island
      AND retired.status = 'retired'
);

-- What all samples say of a program whose score is noisy. Those of stage 'held_out' were never seen
-- by the search.
CREATE VIEW estimates AS
SELECT samples.run_id AS run,
       samples.program_id AS program,
       samples.stage,
       samples.evaluator,
       count(samples.objective) AS samples,
       count(*) - count(samples.objective) AS failed,
       avg(samples.objective) AS mean,
       CASE WHEN count(samples.objective) > 1 THEN sqrt(
           sum((samples.objective - pooled.mean) * (samples.objective - pooled.mean))
           / (count(samples.objective) - 1) / count(samples.objective)
       ) END AS error
FROM samples
JOIN (
    SELECT program_id, stage, evaluator, avg(objective) AS mean
    FROM samples GROUP BY program_id, stage, evaluator
) AS pooled ON pooled.program_id = samples.program_id AND pooled.stage = samples.stage
    AND pooled.evaluator = samples.evaluator
GROUP BY samples.run_id, samples.program_id, samples.stage, samples.evaluator;

-- One row per program and parent; follow "parent" upwards for the whole line.
CREATE VIEW lineage AS
SELECT programs.run_id AS run,
       programs.id AS program,
       parents.parent_id AS parent,
       programs.operator,
       nullif(proposals.model, '') AS model,
       programs.generation,
       own.objective,
       parental.objective AS parent_objective,
       programs.summary
FROM programs
LEFT JOIN proposals ON proposals.id = programs.proposal_id
LEFT JOIN parents ON parents.program_id = programs.id
LEFT JOIN evaluations AS own ON own.id = (
    SELECT max(id) FROM evaluations WHERE program_id = programs.id AND stage = 'search'
)
LEFT JOIN evaluations AS parental ON parental.id = (
    SELECT max(id) FROM evaluations WHERE program_id = parents.parent_id AND stage = 'search'
);

-- A request under way counts as a call; its tokens and money count once it has ended.
CREATE VIEW spend_by_model AS
SELECT proposals.run_id AS run,
       completions.model,
       count(*) AS calls,
       sum(CASE WHEN completions.state = 'received' THEN 1 ELSE 0 END) AS replies,
       sum(CASE completions.state WHEN 'sent' THEN 0 ELSE completions.tokens_input END)
           AS tokens_input,
       sum(CASE completions.state WHEN 'sent' THEN 0 ELSE completions.tokens_cached END)
           AS tokens_cached,
       sum(CASE completions.state WHEN 'sent' THEN 0 ELSE completions.tokens_written END)
           AS tokens_written,
       sum(CASE completions.state WHEN 'sent' THEN 0 ELSE completions.tokens_output END)
           AS tokens_output,
       sum(CASE completions.state WHEN 'sent' THEN 0 ELSE completions.tokens_reasoning END)
           AS tokens_reasoning,
       sum(CASE completions.state WHEN 'sent' THEN 0 ELSE completions.tokens_assumed END)
           AS calls_of_assumed_tokens,
       coalesce(sum(completions.cost_usd), 0.0) AS cost_usd,
       sum(CASE WHEN completions.cost_usd IS NULL THEN 1 ELSE 0 END) AS calls_of_unknown_cost,
       avg(completions.latency_s) AS mean_latency_s
FROM completions
JOIN proposals ON proposals.id = completions.proposal_id
GROUP BY proposals.run_id, completions.model;

CREATE VIEW failures AS
SELECT proposals.run_id AS run,
       'proposal' AS what,
       proposals.reason AS kind,
       proposals.operator,
       nullif(proposals.model, '') AS model,
       proposals.iteration,
       NULL AS program,
       proposals.message
FROM proposals
WHERE proposals.status = 'rejected'
UNION ALL
SELECT evaluations.run_id,
       'evaluation',
       evaluations.outcome,
       programs.operator,
       nullif(proposals.model, ''),
       proposals.iteration,
       programs.id,
       evaluations.message
FROM evaluations
JOIN programs ON programs.id = evaluations.program_id
LEFT JOIN proposals ON proposals.id = programs.proposal_id
WHERE evaluations.outcome <> 'ok'
UNION ALL
SELECT proposals.run_id,
       'model call',
       completions.state,
       proposals.operator,
       completions.model,
       proposals.iteration,
       NULL,
       completions.error
FROM completions
JOIN proposals ON proposals.id = completions.proposal_id
WHERE completions.state IN ('failed', 'unknown');
